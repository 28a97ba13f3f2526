"""
Credentials for image registries, and the files in which `docker login` and
`podman login` store them: `config.json` and `auth.json`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ...errors import RemoteError
from .reference import HUB, HUB_API

__all__ = ["HUB_KEY", "Credentials", "Logins", "load_logins", "login_files"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    Credentials for an image registry: a name and a password, or an identity token.

    Anonymous ones, with neither, only carry *failures*.

    Attributes:
        source: Where they were found, for messages.

        failures: What failed in the search before, for messages.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    source: str = field(default="", compare=False)
    failures: tuple[str, ...] = field(default=(), compare=False)

    @property
    def anonymous(self) -> bool:
        """Whether there is neither a name nor a token."""
        return not (self.username or self.token)


HUB_KEY = "https://index.docker.io/v1/"
"""The name of Docker Hub in these files and for credential helpers."""

LARGEST = 4 << 20
"""Maximum bytes of such a file."""

# A helper's name is part of a file name, which is searched on PATH.
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_HUB_KEYS = frozenset({HUB, HUB_API, "index.docker.io"})


@dataclass(frozen=True, slots=True)
class Logins:
    """
    A file of logins.

    Attributes:
        source: The path of the file, for messages.

        auths: Credentials in the file itself, by host.

        programs: Credential helpers by host, without `docker-credential-`.

        store: The credential helper for all other hosts, or "".
    """

    source: str
    auths: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    programs: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    @classmethod
    def parse(cls, document: bytes, source: str) -> Self:
        """
        Parse *document*, the content of the file *source*.

        Raises:
            RemoteError: *document* does not hold logins.
        """
        try:
            fields: Any = json.loads(document)
            auths = fields.get("auths") or {}
            programs = fields.get("credHelpers") or {}
            return cls(
                source=source,
                auths={_host(key): dict(value or {}) for key, value in auths.items()},
                programs={_host(k): _program(v) for k, v in programs.items()},
                store=_program(fields.get("credsStore") or ""),
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            # Not `from exc`: its text may quote the file.
            raise RemoteError(f"{source} does not hold logins of docker") from None

    def names(self, host: str) -> bool:
        """Return whether the file has an entry for *host* in particular."""
        return host in self.auths or host in self.programs

    def settles(self, host: str) -> bool:
        """
        Return whether the search for the login of *host* ends with this file.

        An empty entry ends it if there is a store, which has the login then.
        """
        entry = self.auths.get(host)
        return (
            host in self.programs or bool(entry) or (entry == {} and bool(self.store))
        )

    def program(self, host: str) -> str:
        """Return the credential helper for *host*, or ""."""
        return self.programs.get(host, "") or self.store

    def credentials(self, host: str) -> Credentials | None:
        """
        Return the credentials for *host* in the file itself, or None.

        Raises:
            RemoteError: the entry is malformed.
        """
        entry = self.auths.get(host, {})
        token, packed = entry.get("identitytoken"), entry.get("auth")
        name, password = entry.get("username") or "", entry.get("password") or ""
        if packed:
            name, password = self._unpacked(host, packed)
        if isinstance(token, str) and token:
            return Credentials(token=token, source=self.source)
        if not (name and password):
            return None
        return Credentials(str(name), str(password), source=self.source)

    def _unpacked(self, host: str, packed: object) -> tuple[str, str]:
        try:
            # Docker's decoder, Go's, ignores line breaks.
            text = str(packed).replace("\r", "").replace("\n", "")
            text = base64.b64decode(text, validate=True).decode()
            name, password = text.split(":", maxsplit=1)
        except (binascii.Error, ValueError):
            raise RemoteError(
                f"{self.source}: the login for {host} is garbled"
            ) from None
        return name, password.strip("\0")


def login_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the paths of Docker's file and of Podman's, in this order of precedence."""
    home = environ.get("HOME")
    if directory := environ.get("DOCKER_CONFIG"):
        yield Path(directory, "config.json")
    elif home:
        yield Path(home, ".docker", "config.json")
    if file := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(file)
    elif runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")


def load_logins(path: Path) -> Logins | None:
    """
    Return the logins in the file *path*; None if there is no file.

    Raises:
        RemoteError: the file cannot be read, or does not hold logins.
    """
    try:
        with path.open("rb") as file:
            document = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise RemoteError(f"could not read {path}: {exc.strerror or exc}") from exc
    if len(document) > LARGEST:
        raise RemoteError(f"{path} exceeds {LARGEST} bytes")
    return Logins.parse(document, str(path))


def _host(key: str) -> str:
    """Return the host in *key*, with its path unless that is an API version."""
    bare = re.sub(r"\Ahttps?://", "", key).lower()
    host = re.sub(r"/(?:v[12]/?)?\Z", "", bare)
    return HUB if host in _HUB_KEYS else host


def _program(name: object) -> str:
    if not name:
        return ""
    if not isinstance(name, str) or not _PROGRAM.fullmatch(name):
        raise ValueError
    return name
