"""Verification that an artifact was signed with a key the operator trusts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ...errors import Missing, SignatureError
from ...release import Release
from . import Key
from .content import unmarked

__all__ = ["LIMIT", "Read", "Signed", "require_listed", "verify"]

log = logging.getLogger(__name__)

LIMIT = 64 * 1024
"""Bytes that a signature file may have."""

Read = Callable[[str], Awaitable[bytes]]

Signed = tuple[str, bytes]
"""The name and the content of the signature file that verifies."""


def require_listed(release: Release, keys: Sequence[Key]) -> list[str]:
    """
    Return the names of the signature files beside the artifact that *keys* may verify;
    all there may be where nothing tells which there are.

    Raises:
        SignatureError: *release* lists none.
    """
    names = _names(release, keys)
    if release.files is None:
        return names
    if found := [name for name in names if name in release.files]:
        return found
    raise _unsigned(release, keys)


def _names(release: Release, keys: Sequence[Key]) -> list[str]:
    return list(dict.fromkeys(release.file + key.suffix for key in keys))


def _unsigned(release: Release, keys: Sequence[Key]) -> SignatureError:
    names = " or ".join(_names(release, keys))
    return SignatureError(f"{release.file} has no signature; publish {names} beside it")


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
    names: list[str] = []
    for name in require_listed(release, keys):
        try:
            content = unmarked(await read(name))
        except Missing:
            if release.files is not None:
                raise
            continue
        names.append(name)
        for key in (each for each in keys if name == release.file + each.suffix):
            if await key.verifies(path, content):
                extra = {"file": release.file, "by": name}
                log.debug("Verified signature", extra=extra)
                return name, content
    if not names:
        raise _unsigned(release, keys)
    raise SignatureError(
        f"signature of {release.file} does not verify: {' and '.join(names)} "
        "is by no key of --verify-signature, or over other bytes"
    )
