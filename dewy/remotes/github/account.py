"""The address of GitHub's API and the credentials, read from the environment once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from yarl import URL

from ...errors import ConfigError
from .app import App

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
        raise ConfigError(f"{name} holds credentials; GITHUB_TOKEN is the place")
    return url.with_path(f"{url.raw_path.rstrip('/')}/", encoded=True)


def _credentials(environ: Mapping[str, str]) -> PersonalToken | App | Anonymous:
    if environ.get("GITHUB_APP_ID", "").strip():
        return App.from_environment(environ)
    for name in ("GH_TOKEN", "GITHUB_TOKEN"):
        if token := environ.get(name, "").strip():
            if not (token.isascii() and token.isprintable()) or " " in token:
                raise ConfigError(f"{name} holds characters that no token has")
            return PersonalToken(token, name)
    return Anonymous()
