"""Verification that an artifact was signed with a key the operator trusts."""

from __future__ import annotations

import codecs
import hashlib
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Missing, SignatureError
from ...release import Release
from . import Key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "LIMIT",
    "WHOLE",
    "Read",
    "Signed",
    "decoded",
    "digest",
    "is_signed",
    "require_listed",
    "unmarked",
    "verify",
    "whole",
]

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


MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}

WHOLE = 64 * 1024 * 1024
"""Bytes that a file may have whose signature is over all of it, not over a hash."""


def digest(path: Path, algorithm: str) -> bytes:
    """Return the hash of the file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).digest()


def whole(path: Path, limit: int, advice: str) -> bytes:
    """
    Return all of the file: in memory, for a mapped one that shrinks is a SIGBUS.

    Raises:
        SignatureError: the file is larger than *limit* bytes; *advice* says what to do.
    """
    with open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise SignatureError(
            f"{path.name} is larger than the {limit} bytes that a signature "
            f"without a hash may be over; {advice}"
        )
    return content


def decoded(text: bytes) -> bytes:
    """Return the bytes that are *text* in Base64; b"" for something else."""
    try:
        return b64decode(b"".join(text.split()), validate=True)
    except ValueError:
        return b""


def is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether *signature* is one by *key* over *message*."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def unmarked(content: bytes) -> bytes:
    """Return text with a byte order mark, as Windows writes it, as plain UTF-8."""
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            text = content.removeprefix(mark).decode(encoding, errors="replace")
            return text.encode()
    return content
