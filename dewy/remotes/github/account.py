"""An account at GitHub: its API's address, its credentials and their tokens."""

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
    """A token somebody made; `source` is the variable it came from."""

    value: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """
    Anonymous access: enough for public repositories, at 60 requests an hour and
    address.
    """

    source = "a token in GH_TOKEN or GITHUB_TOKEN, or a GitHub App in GITHUB_APP_ID"


@dataclass(frozen=True, slots=True)
class GitHubAccount:
    """
    The address of GitHub's API, and the credentials.

    Attributes:
        api: The API's base, ending in a slash.
    """

    api: URL
    credentials: PersonalToken | App | Anonymous

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """
        Read `GITHUB_API_URL` or `GITHUB_ENDPOINT`, and the credentials.

        May read a private key from disk, and so blocks.

        Raises:
            ConfigError: the credentials are incomplete or malformed.
        """
        return cls(_base(environ), _credentials(environ))

    @property
    def app_api(self) -> URL:
        """The base that hands out App tokens; on Enterprise always `api/v3/`."""
        host = self.api.host or ""
        if host.startswith("api.") or ".api." in host:
            return self.api
        if self.api.path.endswith("/api/v3/"):
            return self.api
        return self.api.joinpath("api", "v3", "")

    @property
    def origins(self) -> frozenset[URL]:
        """
        The origins that may see the token: the API, and the host that takes its
        uploads.

        On Enterprise that is the same host; beside `api.HOST` it is
        `uploads.HOST`.
        """
        api = self.api.origin()
        host = api.host or ""
        if not host.startswith("api."):
            return frozenset({api})
        return frozenset({api, api.with_host(f"uploads.{host.removeprefix('api.')}")})

    @property
    def host(self) -> str:
        """The API's host, for messages."""
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


RENEWED_BEFORE = 300.0
"""Seconds a token must have left to be used for another request."""


class Tokens(Protocol):
    """A source of tokens that will last for a request."""

    async def current(self) -> str:
        """
        Return a valid token; "" where none is shown.

        Raises:
            RemoteError: GitHub gave none.
        """
        ...

    def forget(self) -> None:
        """Drop the current token, which was refused."""
        ...


class LastingToken:
    """A personal token: always the same."""

    def __init__(self, token: PersonalToken) -> None:
        self._token = token

    async def current(self) -> str:
        return self._token.value

    def forget(self) -> None:
        """Keep the token: there is no other."""


class NoToken:
    """The absence of a token, for anonymous requests."""

    async def current(self) -> str:
        return ""

    def forget(self) -> None:
        """Do nothing: there was no token."""


class PassingTokens:
    """
    The tokens of an App's installation, each good for an hour.

    Args:
        ask: Gets a new one, and when it ends.

        wall: Seconds since the epoch.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[str, datetime]]],
        wall: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._wall = wall
        self._token = ""
        self._ends = 0.0
        self._lock = asyncio.Lock()

    async def current(self) -> str:
        async with self._lock:
            if self._ends - self._wall() < RENEWED_BEFORE:
                self._token, ends = await self._ask()
                self._ends = ends.timestamp()
            return self._token

    def forget(self) -> None:
        self._ends = 0.0
