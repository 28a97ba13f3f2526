"""
Finding the credentials for an image registry.

One order for all who ask it, be it dewy for the tags or an engine for the image:
the environment, then what `docker login` and `podman login` left, then the
helpers of Amazon's and Google's registries where they are installed.

None of these guards anything: what is there and broken is told, and the search goes
on. If the registry then wants other credentials, its refusal quotes what failed.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from ...errors import RemoteError
from ...ioprocess import brief
from ...logs import Trouble, warn_once
from . import docker_config, docker_credential
from .credentials import Credentials
from .docker_config import Logins

__all__ = ["credentials_for", "from_environment"]

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_ECR = re.compile(r"(?:[a-z0-9-]+\.)+ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
_GOOGLE = re.compile(r"(?:[a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev")


async def credentials_for(
    host: str, environ: Mapping[str, str] | None = None
) -> Credentials | None:
    """
    Return the credentials for *host*, a registry as `Reference.host` has it; None for
    none.

    To be asked for the host of the registry that dewy was told to use and for no
    other: `DOCKER_USERNAME` and `DOCKER_PASSWORD` are for that one.

    A file or a program that fails is told once, and is named by what is returned,
    which may be anonymous for that reason.
    """
    environ = os.environ if environ is None else environ
    if found := from_environment(host, environ):
        return found
    search = _Search(host, environ)
    found = await search.find()
    warn_once(log, ("credentials", host), search.troubles)
    if not search.troubles:
        return found
    failures = tuple(trouble.error for trouble in search.troubles)
    return replace(found or Credentials(), failures=failures)


def from_environment(host: str, environ: Mapping[str, str]) -> Credentials | None:
    """Return the first credentials in the environment that are for *host*."""
    for name, variable in _variables(host, environ):
        if name and (secret := environ.get(variable, "").strip()):
            return Credentials(name, secret, source=variable)
    return None


def _variables(host: str, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Yield names, and the variables with their passwords, in order of precedence."""
    found = [(environ.get("DOCKER_USERNAME", "").strip(), "DOCKER_PASSWORD")]
    if host == "ghcr.io":
        found.append(("token", "GITHUB_TOKEN"))
    if _ECR.fullmatch(host):
        found.append(("AWS", "AWS_ECR_PASSWORD"))
    if _GOOGLE.fullmatch(host):
        found.append(("_json_key", "GCR_TOKEN"))
    return found


class _Search:
    """
    A search for the credentials for *host*.

    Attributes:
        troubles: The files and programs that failed.
    """

    def __init__(self, host: str, environ: Mapping[str, str]) -> None:
        self._host = host
        self._environ = environ
        self.troubles: list[Trouble] = []

    async def find(self) -> Credentials | None:
        """Return the first credentials there are; None for none."""
        for path in docker_config.paths(self._environ):
            reading = _looked_up(path, docker_config.load, path)
            logins = await self._try("Logins not read", reading)
            if logins is None:
                continue
            found = await self._from_file(logins)
            if found or logins.settles(self._host):
                return found
        return await self._from_installed()

    async def _from_file(self, logins: Logins) -> Credentials | None:
        own = None
        try:
            own = logins.credentials(self._host)
        except RemoteError as exc:
            self.troubles.append(Trouble("Logins not read", str(exc)))
        if not (program := logins.program(self._host)):
            return own
        if path := await self._path_of(program):
            return await self._ask(path) or own
        # A config.json that came from elsewhere may name what is not here.
        expected = logins.names(self._host) and own is None
        error = f"{self._host}: docker-credential-{program}, which docker's config.json"
        event = "Credential helper failed" if expected else ""
        self.troubles.append(Trouble(event, f"{error} names for it, is not on PATH"))
        return own

    async def _from_installed(self) -> Credentials | None:
        """Return credentials from a cloud's helper, which may not be set up."""
        for program in _programs(self._host):
            path = await self._path_of(program)
            if path and (found := await self._ask(path)):
                return found
        return None

    async def _path_of(self, program: str) -> Path | None:
        """Return the path of `docker-credential-PROGRAM`; None if there is none."""
        places = self._environ.get("PATH", "")
        looking = _looked_up(Path(places), _which, program, places)
        return await self._try("Credential helper failed", looking)

    async def _ask(self, program: Path) -> Credentials | None:
        asked = docker_credential.get(program, self._host, self._environ)
        return await self._try("Credential helper failed", asked)

    async def _try(self, event: str, work: Awaitable[T]) -> T | None:
        """Return what *work* does; None if it fails, which is noted as *event*."""
        try:
            return await work
        except RemoteError as exc:
            self.troubles.append(Trouble(event, str(exc)))
            return None


def _programs(host: str) -> tuple[str, ...]:
    if _ECR.fullmatch(host):
        return ("ecr-login",)
    return ("gcloud", "gcr") if _GOOGLE.fullmatch(host) else ()


async def _looked_up(
    place: Path, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return what *function* returns in a helper process: homes may hang."""
    try:
        return await brief.look(place, function, *args, **kwargs)
    except OSError as exc:
        raise RemoteError(f"could not read {place}: {exc.strerror or exc}") from exc


def _which(program: str, places: str) -> Path | None:
    found = shutil.which(f"docker-credential-{program}", path=places)
    return Path(found) if found else None
