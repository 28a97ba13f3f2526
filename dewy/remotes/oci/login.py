"""
Finding the credentials for an image registry.

One order for all who ask it, be it dewy for the tags or an engine for the image:
the environment, then what `docker login` and `podman login` left, then the
helpers of Amazon's and Google's registries where they are installed.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

from ...errors import RemoteError
from ...ioprocess import brief
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

    Raises:
        RemoteError: a file or a program that should tell them can't.
    """
    environ = os.environ if environ is None else environ
    return (
        from_environment(host, environ)
        or await _from_logins(host, environ)
        or await _from_installed(host, environ)
    )


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


async def _from_logins(host: str, environ: Mapping[str, str]) -> Credentials | None:
    for path in docker_config.paths(environ):
        logins = await _looked_up(path, docker_config.load, path)
        if logins and (found := await _from_file(logins, host, environ)):
            return found
    return None


async def _from_file(
    logins: Logins, host: str, environ: Mapping[str, str]
) -> Credentials | None:
    own = logins.credentials(host)
    if not (program := logins.program(host)):
        return own
    certain = logins.names(host) and own is None
    return await _from_program(program, host, environ, certain=certain) or own


async def _from_program(
    program: str, host: str, environ: Mapping[str, str], *, certain: bool
) -> Credentials | None:
    """Ask `docker-credential-PROGRAM`, which may be missing unless it is *certain*."""
    places = environ.get("PATH", "")
    path = await _looked_up(Path(places), _which, program, places)
    if path:
        return await docker_credential.get(path, host, environ)
    if certain:
        raise RemoteError(
            f"{host}: docker-credential-{program}, which docker's config.json names"
            " for it, is not on PATH"
        )
    return None


async def _from_installed(host: str, environ: Mapping[str, str]) -> Credentials | None:
    """Return credentials from Amazon's or Google's helper, which may not be set up."""
    for program in _programs(host):
        try:
            if found := await _from_program(program, host, environ, certain=False):
                return found
        except RemoteError as exc:
            log.warning("Credential helper failed", extra={"error": str(exc)})
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
