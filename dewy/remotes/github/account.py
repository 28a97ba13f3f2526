"""The account for GitHub: the address of its API, its credentials and tokens."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import quote

from yarl import URL

from ...errors import ConfigError, ImplementationUnavailable, RemoteError, install_hint
from ...ioprocess import brief

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PUBLIC = "https://api.github.com/"


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A personal access token; `source` is the variable that holds it."""

    value: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """
    Anonymous access: public repositories, and 60 requests per hour and address.
    """

    source = "a token in GH_TOKEN or GITHUB_TOKEN, or a GitHub App in GITHUB_APP_ID"


@dataclass(frozen=True, slots=True)
class GitHubAccount:
    """
    The address of GitHub's API, and the credentials for it.

    Attributes:
        api: Base URL of the API, ending in a slash.
    """

    api: URL
    credentials: PersonalToken | App | Anonymous

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """
        Read `GITHUB_API_URL` or `GITHUB_ENDPOINT`, and the credentials.

        This blocks if it reads a private key from disk.

        Raises:
            ConfigError: a variable is missing or malformed.
            ImplementationUnavailable: the extra `github-app` is not installed.
        """
        return cls(_base(environ), _credentials(environ))

    @property
    def app_api(self) -> URL:
        """Base URL for the tokens of an App; on Enterprise always `api/v3/`."""
        host = self.api.host or ""
        if host.startswith("api.") or ".api." in host:
            return self.api
        if self.api.path.endswith("/api/v3/"):
            return self.api
        return self.api.joinpath("api", "v3", "")

    @property
    def origins(self) -> frozenset[URL]:
        """
        The origins that may get the token: the API, and its host for uploads.

        That is `uploads.HOST` for `api.HOST`, and on Enterprise the same host.
        """
        api = self.api.origin()
        host = api.host or ""
        if not host.startswith("api."):
            return frozenset({api})
        return frozenset({api, api.with_host(f"uploads.{host.removeprefix('api.')}")})

    @property
    def host(self) -> str:
        """Host of the API, for messages."""
        return self.api.host or ""


def _base(environ: Mapping[str, str]) -> URL:
    for name in ("GITHUB_API_URL", "GITHUB_ENDPOINT"):
        if stated := environ.get(name, "").strip():
            return _checked(name, stated)
    return URL(PUBLIC)


def _checked(name: str, stated: str) -> URL:
    try:
        url = URL(stated)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.query_string:
        raise ConfigError(f"{name} is not of the form https://HOST/api/v3/")
    if url.user is not None:
        raise ConfigError(f"{name} holds credentials; use GITHUB_TOKEN instead")
    return url.with_path(f"{url.raw_path.rstrip('/')}/", encoded=True)


def _credentials(environ: Mapping[str, str]) -> PersonalToken | App | Anonymous:
    if environ.get("GITHUB_APP_ID", "").strip():
        return App.from_environment(environ)
    for name in ("GH_TOKEN", "GITHUB_TOKEN"):
        if token := environ.get(name, "").strip():
            if not (token.isascii() and token.isprintable()) or " " in token:
                raise ConfigError(f"{name} contains characters that no token has")
            return PersonalToken(token, name)
    return Anonymous()


BACKDATED = 60
"""Seconds before now of a JWT's `iat`: GitHub refuses one in its future."""

LIFETIME = 300
"""
Seconds from now to a JWT's `exp`. GitHub refuses more than 600 by its clock, so that of
this host may be 300 ahead or behind.
"""


@dataclass(frozen=True, slots=True)
class App:
    """
    An installation of a GitHub App, with the App's private key.

    Attributes:
        path: File of the key; "" if the key is in the environment.
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
            ConfigError: a variable is missing, or the key is malformed.
            ImplementationUnavailable: the extra `github-app` is not installed.
        """
        installation = environ.get("GITHUB_APP_INSTALLATION_ID", "").strip()
        if not installation:
            raise ConfigError("GITHUB_APP_ID also needs GITHUB_APP_INSTALLATION_ID")
        key, path = _load(_pem(environ)), _path(environ)
        return cls(environ["GITHUB_APP_ID"].strip(), installation, key, path)

    async def renewed(self) -> Self | None:
        """
        Return the App with the key that its file holds now; None if it is unchanged.

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
        """Path for tokens of the installation, below the API's base."""
        return f"app/installations/{quote(self.installation, safe='')}/access_tokens"

    def jwt(self, now: float) -> str:
        """Return a JWT (RFC 7519, RS256) of *now*, in seconds since the epoch."""
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
        # In environment files, with a line per variable, breaks are written `\n`.
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
    # Cached: if the directory hangs later, the thread would never return.
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


RENEWED_BEFORE = 300.0
"""Minimum seconds that a token has left when it is used."""


class Tokens(Protocol):
    """A source of tokens that are valid for at least another request."""

    async def current(self) -> str:
        """
        Return a valid token; "" for anonymous requests.

        Raises:
            RemoteError: GitHub issued none.
        """
        ...

    def forget(self) -> None:
        """Discard the current token, which was refused."""
        ...


class StaticToken:
    """A personal access token, which dewy cannot renew."""

    def __init__(self, token: PersonalToken) -> None:
        self._token = token

    async def current(self) -> str:
        return self._token.value

    def forget(self) -> None:
        """Do nothing: there is no other token."""


class NoToken:
    """The absence of a token, for anonymous requests."""

    async def current(self) -> str:
        return ""

    def forget(self) -> None:
        """Do nothing: there was no token."""


class InstallationTokens:
    """
    The tokens of an App's installation, each valid for an hour.

    Args:
        ask: Requests a token, and returns it with its expiry.

        wall: Returns the seconds since the epoch.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[str, datetime]]],
        wall: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._wall = wall
        self._token = ""
        self._expires = 0.0
        self._lock = asyncio.Lock()

    async def current(self) -> str:
        async with self._lock:
            if self._expires - self._wall() < RENEWED_BEFORE:
                self._token, expires = await self._ask()
                self._expires = expires.timestamp()
            return self._token

    def forget(self) -> None:
        self._expires = 0.0
