"""Reaching a Unix socket whose path is longer than a socket address may be."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DewyError

# sockaddr_un has 108 bytes on Linux and 104 elsewhere, the closing zero included.
LONGEST = 100

SOCKET = "admin.sock"

PROXY_SOCKET = "proxy.sock"
"""Name of the socket of a `dewy proxy`, which may run beside the dewy of the root."""

PROXY_LOCK = "proxy.lock"

LOCKS = {SOCKET: "lock", PROXY_SOCKET: PROXY_LOCK}
"""Names of the locks that those hold who answer on the sockets."""


@contextmanager
def address(directory: Path, name: str) -> Iterator[str]:
    """
    Yield a path to *name* in *directory* that fits; valid inside the block.

    A long one goes through a descriptor of the directory.

    Raises:
        OSError: *directory* cannot be opened.
        DewyError: the path is too long and this is not Linux.
    """
    path = str(directory / name)
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    if sys.platform != "linux":
        raise DewyError(f"{path} is too long for a socket; use a shorter root")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
