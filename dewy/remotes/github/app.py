"""
A GitHub App: proving who we are with a JSON Web Token.

docs.github.com/apps → "Generating a JSON Web Token (JWT) for a GitHub App".
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from ...errors import ConfigError, ImplementationUnavailable, RemoteError, install_hint
from ...ioprocess import brief

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

BACKDATED = 60
"""Seconds: GitHub refuses a JWT issued in its future, as by a clock ahead of it."""

LIFETIME = 300
"""
Seconds from our now to the end of a JWT. GitHub refuses more than 600 from its
own now, so our clock may be this far ahead or behind.
"""


@dataclass(frozen=True, slots=True)
class App:
    """
    An installation of a GitHub App, and the key that speaks for it.

    Attributes:
        path: The file that holds the key, "" for none.
    """

    id: str
    installation: str
    key: RSAPrivateKey = field(repr=False)
    path: str = ""

    source = "GITHUB_APP_ID, GITHUB_APP_INSTALLATION_ID and the App's private key"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """
        Read `GITHUB_APP_*`.

        Raises:
            ConfigError: a variable is missing, or the key is none.
            ImplementationUnavailable: the extra `github-app` is not installed.
        """
        installation = environ.get("GITHUB_APP_INSTALLATION_ID", "").strip()
        if not installation:
            raise ConfigError("GITHUB_APP_ID also needs GITHUB_APP_INSTALLATION_ID")
        key, path = _load(_pem(environ)), _path(environ)
        return cls(environ["GITHUB_APP_ID"].strip(), installation, key, path)

    async def renewed(self) -> Self | None:
        """
        Return the app with the key that its file holds by now; None for the same key.

        Raises:
            RemoteError: the file cannot be read, or holds no key.
        """
        if not self.path:
            return None
        file = self._file
        try:
            pem = await brief.look(file.parent, Path.read_bytes, file)
            key = await asyncio.to_thread(_load, pem)
        except (OSError, ConfigError) as exc:
            reason = (isinstance(exc, OSError) and exc.strerror) or str(exc)
            raise RemoteError(f"{self.path}: {reason}") from exc
        if key.private_numbers() == self.key.private_numbers():
            return None
        return replace(self, key=key)

    @property
    def _file(self) -> Path:
        return Path(self.path).absolute()

    @property
    def token_path(self) -> str:
        """The path for tokens of the installation, below the API's base."""
        return f"app/installations/{quote(self.installation, safe='')}/access_tokens"

    def jwt(self, now: float) -> str:
        """Return a JWT (RFC 7519, RS256) made at *now*, in seconds of the epoch."""
        claims = {
            "iss": self.id,
            "iat": int(now) - BACKDATED,
            "exp": int(now) + LIFETIME,
        }
        signed = f"{_segment({'alg': 'RS256', 'typ': 'JWT'})}.{_segment(claims)}"
        return f"{signed}.{_base64(self._sign(signed.encode()))}"

    def _sign(self, text: bytes) -> bytes:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())


def _segment(value: dict[str, object] | dict[str, str]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _pem(environ: Mapping[str, str]) -> bytes:
    if text := environ.get("GITHUB_APP_PRIVATE_KEY", "").strip():
        # Environment files hold one line per variable.
        return text.replace("\\n", "\n").encode()
    if not (path := _path(environ)):
        raise ConfigError(
            "GITHUB_APP_ID also needs GITHUB_APP_PRIVATE_KEY"
            " or GITHUB_APP_PRIVATE_KEY_PATH"
        )
    try:
        return _read(path)
    except OSError as exc:
        raise ConfigError(
            f"GITHUB_APP_PRIVATE_KEY_PATH: {path} could not be read: {exc.strerror}"
        ) from exc


def _path(environ: Mapping[str, str]) -> str:
    if environ.get("GITHUB_APP_PRIVATE_KEY", "").strip():
        return ""
    return environ.get("GITHUB_APP_PRIVATE_KEY_PATH", "")


@cache
def _read(path: str) -> bytes:
    # Once, at the start: later, its directory may hang and keep the thread for good.
    return Path(path).read_bytes()


def _load(pem: bytes) -> RSAPrivateKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError as exc:
        raise ImplementationUnavailable(
            f"a GitHub App needs {exc.name}; {install_hint('github-app')}"
        ) from exc
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Not `from exc`: its text may quote the key.
        raise ConfigError(
            "the GitHub App's private key is not an unencrypted RSA key in PEM form"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError("the GitHub App's private key is not an RSA key")
    return key
