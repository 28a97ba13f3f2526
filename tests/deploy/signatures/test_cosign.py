from __future__ import annotations

import asyncio
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dewy.deploy.signatures import Key, cosign
from dewy.errors import ConfigError, SignatureError
from tests.deploy.signatures.signing import CONTENT, Cosign, CosignEd25519, pem
from tests.needs import needs

PAIRS = [Cosign, CosignEd25519]


def key_of(pair: Cosign | CosignEd25519) -> Key:
    key = cosign.read(pair.public)
    assert key is not None
    return key


@pytest.mark.parametrize("kind", PAIRS)
async def test_signature_by_the_key_verifies(
    artifact: Path, kind: type[Cosign] | type[CosignEd25519]
) -> None:
    pair = kind()
    signature = pair.sign(CONTENT)

    assert await key_of(pair).verifies(artifact, signature)
    assert await key_of(pair).verifies(artifact, signature.strip() + b"\r\n")


@needs("openssl")
def test_signature_made_by_openssl_verifies(artifact: Path, tmp_path: Path) -> None:
    """The same algorithm by another implementation, as cosign's page has it."""
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    curve = ("-pkeyopt", "ec_paramgen_curve:P-256")
    for words in (
        ("genpkey", "-algorithm", "EC", *curve, "-out", private),
        ("pkey", "-in", private, "-pubout", "-out", public),
        ("dgst", "-sha256", "-sign", private, "-out", tmp_path / "der", artifact),
    ):
        command = ["openssl", *words]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    key = cosign.read(public.read_bytes())

    assert key is not None
    signature = b64encode((tmp_path / "der").read_bytes())
    assert asyncio.run(key.verifies(artifact, signature))


@pytest.mark.parametrize("kind", PAIRS)
async def test_signature_over_other_bytes_does_not_verify(
    artifact: Path, kind: type[Cosign] | type[CosignEd25519]
) -> None:
    pair = kind()
    signature = pair.sign(CONTENT + b".")

    assert not await key_of(pair).verifies(artifact, signature)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("other", PAIRS)
async def test_signature_by_another_key_does_not_verify(
    artifact: Path,
    kind: type[Cosign] | type[CosignEd25519],
    other: type[Cosign] | type[CosignEd25519],
) -> None:
    signature = other().sign(CONTENT)

    assert not await key_of(kind()).verifies(artifact, signature)


@pytest.mark.parametrize("kind", PAIRS)
async def test_anything_else_does_not_verify(
    artifact: Path, kind: type[Cosign] | type[CosignEd25519]
) -> None:
    pair = kind()
    good = pair.sign(CONTENT)

    for signature in (b"", b"\xff", b"AAAA", good[:-8], b64decode(good), good + good):
        assert not await key_of(pair).verifies(artifact, signature)


async def test_ed25519_signature_of_large_file_is_refused(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosign, "WHOLE", 6999)
    pair = CosignEd25519()
    signature = pair.sign(CONTENT)

    with pytest.raises(SignatureError, match=r"cosign generate-key-pair"):
        await key_of(pair).verifies(artifact, signature)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ],
    ids=["P-384", "RSA"],
)
def test_key_of_another_algorithm_is_refused(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
) -> None:
    content = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(ConfigError, match=r"ECDSA P-256 or ed25519"):
        cosign.read(content)


def test_damaged_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="damaged"):
        cosign.read(Cosign().public.replace(b"MFkw", b"MFkx"))


def test_anything_else_is_no_key() -> None:
    key = pem(ec.generate_private_key(ec.SECP256R1()).public_key())
    for content in (b"", b"RWQf", b"-----BEGIN PRIVATE KEY-----", key + key):
        assert cosign.read(content) is None
