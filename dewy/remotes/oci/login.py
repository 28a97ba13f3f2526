"""
Finding the credentials for an image registry.

One order for all who ask it, be it dewy for the tags or an engine for the image:
the environment, then what `docker login` and `podman login` left, then the
helpers of Amazon's and Google's registries where they are installed.

None of these guards anything: what is there and broken is told, and the search goes
on. If the registry then wants other credentials, its refusal quotes what failed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ...errors import RemoteError
from ...ioprocess import brief
from ...logs import Trouble, warn_once
from .credentials import HUB_KEY, Credentials, Logins, load_logins, login_files
from .reference import HUB

__all__ = ["ask_helper", "credentials_for", "from_environment"]

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
        for path in login_files(self._environ):
            reading = _looked_up(path, load_logins, path)
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
        asked = ask_helper(program, self._host, self._environ)
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


PATIENCE = 30.0
"""Seconds such a program may take; some ask a cloud."""

DYING = 5.0
"""Seconds that a killed program may take to be gone."""

NOT_FOUND = b"credentials not found"
"""The beginning of the programs' answer when they hold no credentials."""

IDENTITY = "<token>"
"""The programs' user name where the secret is an identity token."""


async def ask_helper(
    program: Path,
    host: str,
    environ: Mapping[str, str],
    *,
    patience: float = PATIENCE,
) -> Credentials | None:
    """
    Return the credentials that *program* holds for *host*; None if there are none.

    Raises:
        RemoteError: the program failed, took longer than *patience* seconds, or
            answered with something else. The program's own words are not quoted: they
            may be secret.
    """
    name = HUB_KEY if host == HUB else host
    try:
        code, answer = await _run(program, name, environ, patience)
    except TimeoutError:
        raise RemoteError(
            f"{host}: {program.name} took longer than {patience:g} s"
        ) from None
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise RemoteError(f"{host}: {program} can't be run: {reason}") from exc
    if code and answer.strip().lower().startswith(NOT_FOUND):
        return None
    if code:
        raise RemoteError(
            f"{host}: {program.name} {_ended(code)}; to see why:"
            f" echo {name} | {program.name} get"
        )
    return _read(program, host, answer)


def _ended(code: int) -> str:
    return (
        f"ended with exit status {code}" if code > 0 else f"was ended by signal {-code}"
    )


def _read(program: Path, host: str, answer: bytes) -> Credentials | None:
    try:
        fields: Any = json.loads(answer)
        name, secret = fields["Username"], fields["Secret"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RemoteError(
            f"{host}: {program.name} did not answer with a login"
        ) from None
    if not (isinstance(name, str) and isinstance(secret, str) and secret):
        return None
    if name == IDENTITY:
        return Credentials(token=secret, source=program.name)
    return Credentials(name, secret, source=program.name)


async def _run(
    program: Path, name: str, environ: Mapping[str, str], patience: float
) -> tuple[int, bytes]:
    question = await asyncio.to_thread(_pipe_of, name.encode())
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=question,
            stdout=PIPE,
            stderr=DEVNULL,
            env=dict(environ),
            start_new_session=True,
        )
    finally:
        os.close(question)
    try:
        async with asyncio.timeout(patience):
            answer, _ = await process.communicate()
    except BaseException:
        await _end(process)
        raise
    return process.returncode or 0, answer


def _pipe_of(content: bytes) -> int:
    """
    Return the end of a pipe that holds *content*, which is short.

    Filled before there is a reader: some end without reading.
    """
    end, start = os.pipe()
    try:
        os.write(start, content)
    finally:
        os.close(start)
    return end


async def _end(process: Process) -> None:
    """End it and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # In the midst of a request to a file system that hangs it ends with that.
    with suppress(TimeoutError):
        async with asyncio.timeout(DYING):
            await process.wait()
