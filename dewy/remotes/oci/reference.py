"""References to repositories of images (grammar: distribution/reference)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import SplitResult

from yarl import URL

from ...errors import ConfigError
from ...urls import redact

HUB = "docker.io"
"""The name of Docker Hub in references."""

HUB_API = "registry-1.docker.io"
"""The host of Docker Hub's API."""

_HUB_NAMES = frozenset({HUB, HUB_API, "index.docker.io"})
_HOST = re.compile(
    r"(?P<name>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]+))?"
)
_WORD = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_WORD}(?:/{_WORD})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PLAIN_NUMBER = re.compile(r"v?([0-9]+(?:\.[0-9]+){0,2})", re.ASCII)
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """
    A repository of images.

    Attributes:
        host: The registry, as in references of engines: `docker.io`, `ghcr.io`,
            `127.0.0.1:5000`, `[::1]:5000`.

        path: The repository in the registry: `library/nginx`, `acme/app`.

        insecure: Whether to use http (True) or https (False); with None, http only for
            a registry on this host.
    """

    host: str
    path: str
    insecure: bool | None = None

    @classmethod
    def of(cls, url: SplitResult, *, insecure: bool | None = None) -> Self:
        """
        Parse `img://HOST/REPOSITORY`, or for Docker Hub `img://OWNER/NAME` or
        `img://NAME`.

        Raises:
            ConfigError: the URL has none of these forms, or holds a tag or credentials.
        """
        if "@" in url.netloc:
            raise ConfigError(
                "img:// holds credentials; `docker login`, or DOCKER_USERNAME and"
                " DOCKER_PASSWORD, are the place for them"
            )
        path = url.path.strip("/")
        text = f"{url.netloc}/{path}".rstrip("/")
        _require_bare(text)
        if _is_host(url.netloc):
            return cls._checked(url.netloc.lower(), path, insecure)
        return cls._checked(HUB, text, insecure)

    @classmethod
    def _checked(cls, host: str, path: str, insecure: bool | None) -> Self:
        shown = redact(f"img://{host}/{path}")
        if not _is_valid_host(host):
            raise ConfigError(f"{shown} names no host; write img://HOST/REPOSITORY")
        if not path:
            raise ConfigError(f"{shown} names no repository; write {shown}REPOSITORY")
        if host in _HUB_NAMES:
            host, path = HUB, path if "/" in path else f"library/{path}"
        if not _PATH.fullmatch(path) or len(f"{host}/{path}") > LONGEST_NAME:
            raise ConfigError(
                f"{shown} names no repository: that is lower-case letters and digits,"
                " with . _ - or / between them"
            )
        return cls(host, path, insecure)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    def tagged(self, tag: str) -> str:
        """Return `HOST/REPOSITORY:TAG`."""
        return f"{self}:{tag}"

    def pull_name(self, digest: str) -> str:
        """Return `HOST/REPOSITORY@DIGEST`, which engines pull and run."""
        return f"{self}@{digest}"

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this host."""
        return is_loopback(_name(self.host))

    @property
    def plain(self) -> bool:
        """Whether the registry is accessed by http."""
        return self.loopback if self.insecure is None else self.insecure

    @property
    def origin(self) -> URL:
        """The origin of the registry's API."""
        host = HUB_API if self.host == HUB else self.host
        return URL(f"{'http' if self.plain else 'https'}://{host}")

    def api(self, path: str) -> URL:
        """Return the URL of *path* in the API of this repository."""
        return self.origin.joinpath("v2", *self.path.split("/"), *path.split("/"))


def is_tag(name: str) -> bool:
    """Return whether *name* is valid as a tag."""
    return _TAG.fullmatch(name) is not None


def is_digest(text: str) -> bool:
    """Return whether *text* has the form of a digest."""
    return _DIGEST.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name or address without port, is a loopback one."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """Return *host* without its port."""
    return re.sub(r":[0-9]+\Z", "", host)


def _is_host(text: str) -> bool:
    # The rule by which engines distinguish a registry from an owner at Docker Hub.
    return "." in text or ":" in text or text.lower() == "localhost"


def _is_valid_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None or ".." in host:
        return False
    if not host.startswith("["):
        return True
    try:
        return ip_address(match["name"][1:-1]).version == 6
    except ValueError:
        return False


def _require_bare(text: str) -> None:
    """
    Refuse a tag or a digest, for dewy chooses it.

    Raises:
        ConfigError: *text* holds a tag or a digest.
    """
    bare, tag = _without_tag(text)
    if not tag:
        return
    number = _PLAIN_NUMBER.fullmatch(tag)
    within = f", or img://{bare}?constraint={number[1]}" if number else ""
    raise ConfigError(
        f"{redact(f'img://{text}')} names one image, and dewy is to find the newest:"
        f" write {redact(f'img://{bare}')}{within}"
    )


def _without_tag(text: str) -> tuple[str, str]:
    """Return *text* without the tag or digest at its end, and the tag or digest."""
    bare, mark, digest = text.partition("@")
    if mark:
        return bare, digest
    above, slash, last = text.rpartition("/")
    name, _, tag = last.partition(":")
    if not slash and (_is_host(name) or last.startswith("[")):
        return text, ""  # the colon begins a port
    return f"{above}{slash}{name}", tag
