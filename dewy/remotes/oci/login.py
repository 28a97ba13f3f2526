"""
The search for credentials for an image registry.

The order is the same for dewy, which asks for tags, and for engines, which pull images:
the environment, the files of `docker login` and `podman login`, and the credential
helpers of Amazon and Google where they are installed.

A failure is logged, and the search goes on. If the registry then refuses access, the
message quotes what failed.
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
    Return the credentials for *host*, a `Reference.host`; None for none.

    Call this only for the registry that dewy is configured to use, for which
    `DOCKER_USERNAME` and `DOCKER_PASSWORD` are.

    A file or program that fails is logged once, and listed in `failures` of what is
    returned, which may be anonymous.
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
    """Return the first credentials for *host* in the environment."""
    for name, variable in _variables(host, environ):
        if name and (secret := environ.get(variable, "").strip()):
            return Credentials(name, secret, source=variable)
    return None


def _variables(host: str, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return user names and the variables of their passwords, in precedence order."""
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
    A search for the credentials for *host* in files and credential helpers.

    Attributes:
        troubles: The files and programs that failed.
    """

    def __init__(self, host: str, environ: Mapping[str, str]) -> None:
        self._host = host
        self._environ = environ
        self.troubles: list[Trouble] = []

    async def find(self) -> Credentials | None:
        """Return the first credentials; None for none."""
        for path in login_files(self._environ):
            reading = _in_helper_process(path, load_logins, path)
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
        # Of a config.json copied from another host the store may be missing.
        expected = logins.names(self._host) and own is None
        error = f"{self._host}: docker-credential-{program}, which docker's config.json"
        event = "Credential helper failed" if expected else ""
        self.troubles.append(Trouble(event, f"{error} names for it, is not on PATH"))
        return own

    async def _from_installed(self) -> Credentials | None:
        """Return credentials from a cloud's helper, if it is installed and has some."""
        for program in _programs(self._host):
            path = await self._path_of(program)
            if path and (found := await self._ask(path)):
                return found
        return None

    async def _path_of(self, program: str) -> Path | None:
        """Return the path of `docker-credential-PROGRAM`; None if there is none."""
        places = self._environ.get("PATH", "")
        directories = map(Path, places.split(os.pathsep))
        looking = _in_helper_process(Path(places), _which, program, *directories)
        return await self._try("Credential helper failed", looking)

    async def _ask(self, program: Path) -> Credentials | None:
        asked = ask_helper(program, self._host, self._environ)
        return await self._try("Credential helper failed", asked)

    async def _try(self, event: str, work: Awaitable[T]) -> T | None:
        """Return the result of *work*; None if it fails, which is noted as *event*."""
        try:
            return await work
        except RemoteError as exc:
            self.troubles.append(Trouble(event, str(exc)))
            return None


def _programs(host: str) -> tuple[str, ...]:
    if _ECR.fullmatch(host):
        return ("ecr-login",)
    return ("gcloud", "gcr") if _GOOGLE.fullmatch(host) else ()


async def _in_helper_process(
    place: Path, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call *function* in a helper process if its directories may hang."""
    try:
        return await brief.look(place, function, *args, **kwargs)
    except OSError as exc:
        raise RemoteError(f"could not read {place}: {exc.strerror or exc}") from exc


def _which(program: str, *directories: Path) -> Path | None:
    path = os.pathsep.join(map(str, directories))
    found = shutil.which(f"docker-credential-{program}", path=path)
    return Path(found) if found else None


HELPER_TIMEOUT = 30.0
"""Seconds for a credential helper; some of them ask a cloud."""

KILL_TIMEOUT = 5.0
"""Seconds to wait for the end of a killed helper."""

NOT_FOUND = b"credentials not found"
"""Beginning of the output of a helper without credentials."""

IDENTITY = "<token>"
"""A helper's user name for an identity token."""


async def ask_helper(
    program: Path,
    host: str,
    environ: Mapping[str, str],
    *,
    deadline: float = HELPER_TIMEOUT,
) -> Credentials | None:
    """
    Return the credentials that the helper *program* has for *host*; None for none.

    Raises:
        RemoteError: the program failed, took longer than *deadline* seconds, or printed
            something else, which is not quoted: it may be secret.
    """
    name = HUB_KEY if host == HUB else host
    try:
        code, answer = await _run(program, name, environ, deadline)
    except TimeoutError:
        raise RemoteError(
            f"{host}: {program.name} took longer than {deadline:g} s"
        ) from None
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise RemoteError(f"{host}: {program} can't be run: {reason}") from exc
    if code and answer.strip().lower().startswith(NOT_FOUND):
        return None
    if code:
        raise RemoteError(
            f"{host}: {program.name} {_how_ended(code)}; to see why:"
            f" echo {name} | {program.name} get"
        )
    return _read(program, host, answer)


def _how_ended(code: int) -> str:
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
    program: Path, name: str, environ: Mapping[str, str], deadline: float
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
        async with asyncio.timeout(deadline):
            answer, _ = await process.communicate()
    except BaseException:
        await _kill(process)
        raise
    return process.returncode or 0, answer


def _pipe_of(content: bytes) -> int:
    """
    Return the read end of a pipe that holds *content*, which must fit into it.

    Written before the helper starts: writing to one that ends early would fail.
    """
    end, start = os.pipe()
    try:
        os.write(start, content)
    finally:
        os.close(start)
    return end


async def _kill(process: Process) -> None:
    """Kill the process group of *process*, and wait for its end."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # A process in a request to a file system that hangs ends only with that.
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_TIMEOUT):
            await process.wait()
