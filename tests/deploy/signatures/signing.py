"""Keys and signatures as minisign, cosign and gpg make them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CONTENT = b"program" * 1000
COMMENT = b"timestamp:1700000000\tfile:app.tar.gz\thashed"


class Minisign:
    """A key pair of minisign."""

    suffix = ".minisig"

    def __init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.id = os.urandom(8)

    @property
    def line(self) -> bytes:
        """The public key, without its comment."""
        return b64encode(b"Ed" + self.id + self.key.public_key().public_bytes_raw())

    @property
    def public(self) -> bytes:
        return b"untrusted comment: minisign public key 1\n" + self.line + b"\n"

    def sign(self, content: bytes, *, legacy: bool = False) -> bytes:
        algorithm = b"Ed" if legacy else b"ED"
        message = content if legacy else hashlib.blake2b(content).digest()
        signature = self.key.sign(message)
        over = self.key.sign(signature + COMMENT)
        return (
            b"untrusted comment: signature from minisign secret key\n"
            + b64encode(algorithm + self.id + signature)
            + b"\ntrusted comment: "
            + COMMENT
            + b"\n"
            + b64encode(over)
            + b"\n"
        )


class Cosign:
    """A key pair of `cosign generate-key-pair`."""

    suffix = ".sig"

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> bytes:
        return pem(self.key.public_key())

    def sign(self, content: bytes) -> bytes:
        return b64encode(self.key.sign(content, ec.ECDSA(SHA256())))


class CosignEd25519:
    """A key pair of ed25519 in PEM form."""

    suffix = ".sig"

    def __init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        return pem(self.key.public_key())

    def sign(self, content: bytes) -> bytes:
        return b64encode(self.key.sign(content)) + b"\n"


class GnuPG:
    """A key pair of gpg, in a home of its own."""

    suffix = ".asc"

    def __init__(self, home: Path, *words: str, expires: str = "never") -> None:
        self.home = home
        home.mkdir(mode=0o700)
        secret = ("--passphrase", "", "--quick-generate-key")
        self.run(*words, *secret, "maker@example.org", "ed25519", "sign", expires)

    def run(self, *words: str, input: bytes | None = None) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", *words]
        done = subprocess.run(
            command, input=input, capture_output=True, check=True, timeout=60
        )
        return done.stdout

    @property
    def public(self) -> bytes:
        return self.run("--armor", "--export")

    @property
    def binary(self) -> bytes:
        return self.run("--export")

    def sign(self, content: bytes, *words: str) -> bytes:
        return self.run(*words, "--armor", "--detach-sign", input=content)

    def close(self) -> None:
        subprocess.run(
            ["gpgconf", "--homedir", str(self.home), "--kill", "all"],
            check=True,
            timeout=60,
        )


def pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
