"""
Programs that hold passwords, `docker-credential-…`.

Their protocol is that of docker/docker-credential-helpers: the registry's name on
stdin, JSON on stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import RemoteError
from .credentials import Credentials
from .docker_config import HUB_KEY
from .reference import HUB

__all__ = ["PATIENCE", "get"]

PATIENCE = 30.0
"""Seconds such a program may take; some ask a cloud."""

DYING = 5.0
"""Seconds that a killed program may take to be gone."""

NOT_FOUND = b"credentials not found"
"""The beginning of the programs' answer when they hold no credentials."""

IDENTITY = "<token>"
"""The programs' user name where the secret is an identity token."""


async def get(
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
