"""Running the operator's commands before and after a deployment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..logs import duration
from .hook_output import HookOutput

log = logging.getLogger(__name__)

MOST_LOGGED = 2000
"""Characters of a stream that the log has, the last ones."""

SHELL = "/bin/sh"
STOP_GRACE = 5.0
# Variables about dewy's own sockets and watchdog, which a hook has not.
OURS = ("NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_")


class HookKind(Enum):
    """The occasion of a hook; the value is its name in notices."""

    BEFORE = "Before Deploy"
    AFTER = "After Deploy"


@dataclass(frozen=True, slots=True)
class HookResult:
    """
    The outcome of a hook.

    Attributes:
        command: The command, as configured.

        stdout: The end of what it wrote (64 KiB at most), trimmed.

        stderr: The same of its errors; or why it could not be run.

        exit_code: 128 + the signal if one ended it; 1 if it could not be run.

        duration: Seconds.

        timed_out: True if the hook was ended because it ran into its time limit.

        ran: True if the hook was started; else this host is to blame.
    """

    command: str
    stdout: str
    stderr: str
    exit_code: int
    duration: float
    timed_out: bool = False
    ran: bool = True

    @property
    def success(self) -> bool:
        """True if the hook ended by itself, with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def reason(self) -> str:
        """The failure in a few words; empty after a success."""
        if self.timed_out:
            return f"time limit reached after {self.duration:.0f} s"
        if not self.ran:
            return "it could not be run"
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
    that a hook leaves behind otherwise is neither waited for nor ended, and what
    it still writes is thrown away.
    """
    started = time.monotonic()
    exit_code, timed_out, ran = 1, False, True
    try:
        with HookOutput() as out, HookOutput() as err:
            exit_code, timed_out = await _execute(
                command, cwd, variables, timeout, (out, err)
            )
            stdout, stderr = out.text(), err.text()
    except OSError as exc:
        place = f"{exc.filename}: " if exc.filename else ""
        stdout, ran = "", False
        stderr = f"cannot run {SHELL} in {cwd}: {place}{exc.strerror}"
    duration = time.monotonic() - started
    result = HookResult(command, stdout, stderr, exit_code, duration, timed_out, ran)
    _log(kind, result)
    return result


async def _execute(
    command: str,
    cwd: Path,
    variables: Mapping[str, str],
    limit: float,
    output: tuple[HookOutput, HookOutput],
) -> tuple[int, bool]:
    """Run to the end; return the exit code, and whether the limit was reached."""
    # The end of the shell counts, not that of its output: what it leaves running
    # may hold that for ever.
    process = await asyncio.create_subprocess_exec(
        SHELL,
        "-c",
        command,
        stdin=DEVNULL,
        stdout=output[0].writer,
        stderr=output[1].writer,
        cwd=cwd,
        env=_environment(variables),
        start_new_session=True,
    )
    for each in output:
        each.hand_over()
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
    try:
        async with asyncio.timeout(STOP_GRACE):
            return await process.wait()
    except TimeoutError:
        # In the midst of a request to a file system that hangs it ends with that.
        return -signal.SIGKILL


def _signal(process: Process, number: int) -> None:
    # Of another user may be what a hook started with more rights than ours.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _log(kind: HookKind, result: HookResult) -> None:
    # The log stays on this host; what of the environment is secret is struck there.
    extra = {
        "hook": kind.value,
        "command": result.command,
        "exit_code": result.exit_code,
        "duration": duration(result.duration),
        "stdout": result.stdout[-MOST_LOGGED:],
        "stderr": result.stderr[-MOST_LOGGED:],
    }
    if result.success:
        log.info("Execute hook", extra=extra)
    else:
        log.error("Execute hook failed", extra={**extra, "reason": result.reason})
