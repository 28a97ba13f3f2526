"""
Signatures of minisign.

jedisct1.github.io/minisign → "Signature format", "Public key format".
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from .verification import WHOLE, decoded, digest, is_signed, whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["MinisignKey", "Signature", "read"]

PREHASHED, LEGACY = b"ED", b"Ed"

_PUBLIC = re.compile(rb"(?:untrusted comment:[^\n]*\n)?[ \t]*(RW[A-Za-z0-9+/]{54})\s*")
_SIGNATURE = re.compile(
    rb"untrusted comment:[^\n]*\n(?P<signature>[^\n]+)\n"
    rb"trusted comment: (?P<comment>[^\r\n]*)\r?\n(?P<global>[^\n]+)\s*"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """
    The content of a `.minisig` file.

    Attributes:
        algorithm: `PREHASHED` or `LEGACY`.

        key_id: The number of the key, eight bytes.

        signature: The signature over the file or its hash.

        comment: The trusted comment.

        global_signature: The signature over signature and trusted comment.
    """

    algorithm: bytes
    key_id: bytes
    signature: bytes
    comment: bytes
    global_signature: bytes

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """Read one; None if *text* is something else."""
        match = _SIGNATURE.fullmatch(text)
        if match is None:
            return None
        raw, over = decoded(match["signature"]), decoded(match["global"])
        if len(raw) != 74 or len(over) != 64 or raw[:2] not in (PREHASHED, LEGACY):
            return None
        return cls(raw[:2], raw[2:10], raw[10:], match["comment"], over)


@dataclass(frozen=True, slots=True)
class MinisignKey:
    """A public key of minisign."""

    suffix: ClassVar[str] = ".minisig"

    id: bytes
    key: Ed25519PublicKey

    async def verifies(self, path: Path, signature: bytes) -> bool:
        """Verify as `Key.verifies` does; the trusted comment must be signed, too."""
        found = Signature.parse(signature)
        if found is None or found.key_id != self.id:
            return False
        commented = found.signature + found.comment
        if not is_signed(self.key, found.global_signature, commented):
            return False
        return await asyncio.to_thread(self._verifies, path, found)

    def _verifies(self, path: Path, found: Signature) -> bool:
        if found.algorithm == PREHASHED:
            message = digest(path, "blake2b")
        else:
            message = whole(path, WHOLE, "sign it prehashed: minisign -H")
        return is_signed(self.key, found.signature, message)


def read(content: bytes) -> MinisignKey | None:
    """Read a public key, with or without its comment; None for something else."""
    match = _PUBLIC.fullmatch(content.strip())
    raw = decoded(match[1]) if match else b""
    if raw[:2] != LEGACY:
        return None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return MinisignKey(raw[2:10], Ed25519PublicKey.from_public_bytes(raw[10:]))
