"""
Signatures of cosign, by a key in PEM form.

Sigstore's transparency log is not asked: the key alone counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigError
from .verification import WHOLE, decoded, digest, is_signed, whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["ECDSAKey", "Ed25519Key", "PEMKey", "read"]

BEGIN = b"-----BEGIN PUBLIC KEY-----"


@dataclass(frozen=True, slots=True)
class ECDSAKey:
    """A public key as `cosign generate-key-pair` makes it: ECDSA on P-256."""

    suffix: ClassVar[str] = ".sig"

    key: EllipticCurvePublicKey

    async def verifies(self, path: Path, signature: bytes) -> bool:
        """Verify as `Key.verifies` does; the signature is over the SHA-256."""
        hashed = await asyncio.to_thread(digest, path, "sha256")
        return self._has_signed(hashed, decoded(signature))

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether *signature* (DER) is one by this key over *message*."""
        return self._has_signed(hashlib.sha256(message).digest(), signature)

    def _has_signed(self, hashed: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            self.key.verify(signature, hashed, ECDSA(Prehashed(SHA256())))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Ed25519Key:
    """A public key of ed25519, imported into cosign."""

    suffix: ClassVar[str] = ".sig"

    key: Ed25519PublicKey

    async def verifies(self, path: Path, signature: bytes) -> bool:
        """Verify as `Key.verifies` does; the signature is over the whole file."""
        advice = "sign it with an ECDSA key: cosign generate-key-pair"
        content = await asyncio.to_thread(whole, path, WHOLE, advice)
        raw = decoded(signature)
        return await asyncio.to_thread(is_signed, self.key, raw, content)

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether *signature* is one by this key over *message*."""
        return is_signed(self.key, signature, message)


PEMKey = ECDSAKey | Ed25519Key


def read(content: bytes) -> PEMKey | None:
    """
    Read a public key in PEM form; None for something else.

    Raises:
        ConfigError: the key is of another algorithm, or damaged.
    """
    if content.count(BEGIN) != 1:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import (
        SECP256R1,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("is not a public key in PEM form; it is damaged") from None
    if isinstance(key, Ed25519PublicKey):
        return Ed25519Key(key)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return ECDSAKey(key)
    raise ConfigError(
        "must be a key of ECDSA P-256 or ed25519; cosign generate-key-pair makes one"
    )
