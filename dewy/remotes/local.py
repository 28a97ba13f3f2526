"""Files of this host as a remote: paths in `file://` URLs, and their errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, unquote_to_bytes

from ..errors import ConfigError, RemoteError
from ..ioprocess.process import IOProcess
from ..ioprocess.reading import identity_of as identity
from . import Clients

__all__ = ["identity", "looking", "path", "translated"]


def path(url: SplitResult) -> Path:
    """
    Return the path that *url* names.

    `file:///srv/app` is absolute; `file://dist/app` is relative, with the URL's host as
    the first segment.

    Raises:
        ConfigError: *url* names no path.
    """
    named = os.fsdecode(unquote_to_bytes(url.netloc + url.path))
    if url.fragment or not named or "\0" in named:
        raise ConfigError(
            f"{url.scheme}:// must name a path (write %23 for '#', %3F for '?')"
        )
    return Path(named)


async def looking(clients: Clients, directory: Path) -> IOProcess:
    """Return the helper process for all access to *directory*, which may hang."""
    return await clients.get(f"ioprocess {directory}", lambda: IOProcess(directory))


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Turn an OSError into a RemoteError that *action* could not be done."""
    try:
        yield
    except OSError as exc:
        raise RemoteError(f"could not {action}: {exc.strerror or exc}") from exc
