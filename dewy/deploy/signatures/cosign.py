"""
Signatures of `cosign sign-blob`, by a key in PEM form.

Sigstore's transparency log is not asked: the key alone counts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...errors import ConfigError
from .content import WHOLE, decoded, digest, is_signed, whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["ECDSAKey", "Ed25519Key", "read"]

BEGIN = b"-----BEGIN PUBLIC KEY-----"


@dataclass(frozen=True, slots=True)
class ECDSAKey:
    """A public key as `cosign generate-key-pair` makes it: ECDSA on P-256."""

    suffix: ClassVar[str] = ".sig"

    key: EllipticCurvePublicKey

    async def verifies(self, path: Path, signature: bytes) -> bool:
        """Verify as `Key.verifies` does; the signature is over the SHA-256."""
        hashed = await asyncio.to_thread(digest, path, "sha256")
        return self.has_signed(decoded(signature), hashed)

    def has_signed(self, signature: bytes, hashed: bytes) -> bool:
        """Return whether *signature* (DER) is over what has the SHA-256 *hashed*."""
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


def read(content: bytes) -> ECDSAKey | Ed25519Key | None:
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
