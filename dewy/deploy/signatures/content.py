"""The bytes that are signed, and signatures over them."""

from __future__ import annotations

import codecs
import hashlib
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import SignatureError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["WHOLE", "decoded", "digest", "is_signed", "unmarked", "whole"]

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
