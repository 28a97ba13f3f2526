"""Verification that an artifact was signed with a key the operator trusts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ...errors import SignatureError
from ...release import Release
from . import Key

__all__ = ["LIMIT", "Read", "Signed", "require_listed", "verify"]

log = logging.getLogger(__name__)

LIMIT = 64 * 1024
"""Bytes that a signature file may have."""

Read = Callable[[str], Awaitable[bytes]]

Signed = tuple[str, bytes]
"""The name and the content of the signature file that verifies."""


def require_listed(release: Release, keys: Sequence[Key]) -> list[str]:
    """
    Return the names of the signature files beside the artifact that *keys* may verify.

    Raises:
        SignatureError: *release* lists none.
    """
    names = dict.fromkeys(release.file + key.suffix for key in keys)
    if found := [name for name in names if name in release.files]:
        return found
    raise SignatureError(
        f"{release.file} has no signature; publish {' or '.join(names)} beside it"
    )


async def verify(
    path: Path, *, release: Release, keys: Sequence[Key], read: Read
) -> Signed:
    """
    Return the first signature of the artifact at *path* that one of *keys* verifies.

    *read* fetches the file of a name.

    Raises:
        SignatureError: there is no signature, or none that verifies.
        RemoteError: raised by *read*; a signature file that is listed but cannot be
            read is not passed over.
        DeploymentError: this host could not find out.
    """
    names = require_listed(release, keys)
    for name in names:
        content = await read(name)
        for key in (each for each in keys if name == release.file + each.suffix):
            if await key.verifies(path, content):
                extra = {"file": release.file, "by": name}
                log.debug("Verified signature", extra=extra)
                return name, content
    raise SignatureError(
        f"signature of {release.file} does not verify: {' and '.join(names)} "
        "is by no key of --verify-signature, or over other bytes"
    )
