"""Running the operator's commands before and after a deployment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from ..logs import duration

log = logging.getLogger(__name__)

SHELL = "/bin/sh"
KEPT = 64 * 1024
STOP_GRACE = 5.0
# They speak of dewy's own sockets and watchdog, which a hook has not.
OURS = ("NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_")


class HookKind(Enum):
    """When a hook runs; the value is its name in notices."""

    BEFORE = "Before Deploy"
    AFTER = "After Deploy"


@dataclass(frozen=True, slots=True)
class HookResult:
    """
    How a hook ended.

    Attributes:
        command: What was run, as configured.

        stdout: The end of what it wrote (64 KiB at most), trimmed.

        stderr: The same of its errors; or why it could not be run.

        exit_code: 128 + the signal if one ended it; 1 if it could not be run.

        duration: Seconds.

        timed_out: It was ended because it ran into its time limit.
    """

    command: str
    stdout: str
    stderr: str
    exit_code: int
    duration: float
    timed_out: bool = False

    @property
    def success(self) -> bool:
        """It ended by itself, with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def reason(self) -> str:
        """What went wrong, in a few words; empty if nothing did."""
        if self.timed_out:
            return f"time limit reached after {self.duration:.0f} s"
        return f"exit code {self.exit_code}" if self.exit_code else ""


async def run(
    command: str,
    *,
    kind: HookKind,
    cwd: Path,
    variables: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109 - reaching it is a result, not an error
) -> HookResult:
    """
    Run *command* with `sh -c` in *cwd*, for *timeout* seconds at most.

    Its environment is ours with *variables* on top, its input is empty. A hook
    that runs into the limit is ended together with all it started; a process
    that a hook leaves behind otherwise is neither waited for nor ended.
    """
    started = time.monotonic()
    exit_code, timed_out = 1, False
    try:
        with (
            await asyncio.to_thread(tempfile.TemporaryFile) as out,
            await asyncio.to_thread(tempfile.TemporaryFile) as err,
        ):
            exit_code, timed_out = await _execute(
                command, cwd, variables, timeout, (out, err)
            )
            stdout = await asyncio.to_thread(_tail, out)
            stderr = await asyncio.to_thread(_tail, err)
    except OSError as exc:
        place = f"{exc.filename}: " if exc.filename else ""
        stdout = ""
        stderr = f"cannot run {SHELL} in {cwd}: {place}{exc.strerror}"
    duration = time.monotonic() - started
    result = HookResult(command, stdout, stderr, exit_code, duration, timed_out)
    _log(kind, result)
    return result


async def _execute(
    command: str,
    cwd: Path,
    variables: Mapping[str, str],
    limit: float,
    output: tuple[BinaryIO, BinaryIO],
) -> tuple[int, bool]:
    """Run to the end; return the exit code, and whether the limit was reached."""
    # Files, not pipes: a background process that holds the hook's output open
    # would keep a pipe from ever ending.
    process = await asyncio.create_subprocess_exec(
        SHELL,
        "-c",
        command,
        stdin=DEVNULL,
        stdout=output[0],
        stderr=output[1],
        cwd=cwd,
        env=_environment(variables),
        start_new_session=True,
    )
    timed_out = False
    try:
        # Not wait_for: below Python 3.12 it loses a cancellation that comes together
        # with the end, and whoever is to stop would go on.
        async with asyncio.timeout(limit):
            code = await process.wait()
    except TimeoutError:
        timed_out = True
        code = await _end(process)
    except asyncio.CancelledError:
        await _end(process)
        raise
    return (code if code >= 0 else 128 - code), timed_out


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return {**inherited, **variables}


async def _end(process: Process) -> int:
    """End the whole process group: politely, then for certain."""
    _signal(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE):
                await process.wait()
    finally:
        _signal(process, signal.SIGKILL)
    return await process.wait()


def _signal(process: Process, number: int) -> None:
    # Of another user may be what a hook started with more rights than ours.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _tail(file: BinaryIO) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - KEPT))
    return file.read(KEPT).decode(errors="replace").strip()


def _log(kind: HookKind, result: HookResult) -> None:
    # Neither command nor output: both may hold secrets.
    extra = {
        "hook": kind.value,
        "exit_code": result.exit_code,
        "duration": duration(result.duration),
    }
    if result.success:
        log.info("Executed hook", extra=extra)
    else:
        log.error("Hook failed", extra={**extra, "reason": result.reason})
