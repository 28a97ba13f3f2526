"""The operator's hooks: commands before and after a deployment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from ..config import Reloadable, Settings
from ..errors import HookFailed, last_words
from ..logs import duration
from ..notifiers import Hook, NoticeKind
from ..notifiers.format import tail
from ..system import reap_later, wait_pid
from .changes import Attempt
from .deployment_log import DeploymentLog
from .release_store import ReleaseStore
from .state import Installed

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

        stdout: The end of its output (64 KiB at most), trimmed.

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

    Its environment is dewy's with *variables* added, its input is empty. A hook that
    exceeds the limit is ended with all processes that it started. Otherwise a process
    that a hook leaves behind is neither awaited nor ended, and its output is discarded.
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
    process = _Shell(_spawn(command, cwd, variables, output))
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


def _spawn(
    command: str,
    cwd: Path,
    variables: Mapping[str, str],
    output: tuple[HookOutput, HookOutput],
) -> subprocess.Popen[bytes]:
    # Not by the loop: uvloop leaves copies of the output open in the child, and what
    # dewy inherited itself, for as long as anything runs that the hook left behind.
    return subprocess.Popen(
        [SHELL, "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=output[0].writer,
        stderr=output[1].writer,
        cwd=cwd,
        env=_environment(variables),
        start_new_session=True,
    )


class _Shell:
    """The shell of a hook, the leader of its process group."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    async def wait(self) -> int:
        """Return its exit status once it has ended, negative for a signal."""
        if self._process.returncode is None:
            await wait_pid(self.pid)
        return self._process.wait()

    def abandon(self) -> None:
        """Wait no longer for it: it hangs in the kernel."""
        reap_later(self._process)


async def _end(process: _Shell) -> int:
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
        process.abandon()
        return -signal.SIGKILL


def _signal(process: _Shell, number: int) -> None:
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


KEPT = 64 * 1024
PAUSE = 0.05
"""Seconds between two reads once the hook has ended."""


class HookOutput:
    """
    A pipe that is drained on the running loop; the last `KEPT` bytes are kept.

    A process that a hook leaves running may hold it for ever. After the block, output
    is read slowly and discarded, so that such a process neither fills a disk, nor
    blocks, nor keeps dewy busy; reading ends with the last writer.

    Attributes:
        writer: The descriptor to write to, until this is left or `hand_over`.

    Raises:
        OSError: the process has no descriptor left.
    """

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop = asyncio.get_running_loop()
        self._tail = bytearray()
        self._over = False

    def __enter__(self) -> Self:
        self._loop.add_reader(self._reader, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hand_over()
        self._over = True

    def hand_over(self) -> None:
        """Let only the children write; idempotent."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def text(self) -> str:
        """Return the end of what has been written so far, trimmed."""
        while self._reader >= 0 and self._read():
            pass
        return self._tail.decode(errors="replace").strip()

    def _read(self) -> bool:
        """Read once; whether there was anything."""
        try:
            data = os.read(self._reader, KEPT)
        except BlockingIOError:
            return False
        if not data:
            self._close()
        elif self._over:
            self._rest()
        else:
            self._tail += data
            del self._tail[:-KEPT]
        return bool(data)

    def _rest(self) -> None:
        self._loop.remove_reader(self._reader)
        self._loop.call_later(PAUSE, self._loop.add_reader, self._reader, self._read)

    def _close(self) -> None:
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        self._reader = -1


LINES = 20
PENDING, DEPLOYED, ROLLED_BACK = "pending", "deployed", "rolled-back"


class DeployHooks:
    """
    Runner of hooks, which reports how they ended.

    An after-hook does not delay the next deployment, whose before-hook may run beside
    it. After-hooks wait for each other, in order.
    """

    def __init__(
        self,
        settings: Reloadable[Settings],
        release_store: ReleaseStore,
        deployment_log: DeploymentLog,
    ) -> None:
        self._settings = settings
        self._release_store = release_store
        self._deployment_log = deployment_log
        self._after_turn = asyncio.Lock()

    async def before(self, attempt: Attempt, target: Installed) -> None:
        """
        Raises:
            HookFailed: the hook failed, which ends the deployment.
        """
        command = self._settings.current.before_deploy_hook
        result = await self._run(HookKind.BEFORE, command, attempt, target, PENDING)
        if result and not result.success:
            raise HookFailed(
                f"the before-deploy hook failed: {result.reason}",
                log_tail=_output(result),
                detail=_story(result),
                host=not result.ran,
            )

    async def after(
        self,
        attempt: Attempt,
        target: Installed,
        outcome: str = DEPLOYED,
        *,
        runs: Callable[[Installed], bool] = lambda target: True,
    ) -> None:
        """
        Run the after-hook; a failure is recorded and reported, and changes nothing.

        The hook is skipped if *target* no longer *runs* when its turn comes.
        """
        if not (command := self._settings.current.after_deploy_hook):
            return
        if self._after_turn.locked():
            attempt.note("waiting for an earlier after-hook to end")
        async with self._after_turn:
            if not runs(target):
                log.info("After-hook left out", extra=attempt.log_fields())
                return
            result = await self._run(HookKind.AFTER, command, attempt, target, outcome)
        if result and not result.success:
            await self._deployment_log.hook_failed(
                attempt,
                f"the after-deploy hook failed: {result.reason}",
                _output(result),
                detail=_story(result),
                seconds=result.duration,
            )

    async def _run(
        self,
        kind: HookKind,
        command: str,
        attempt: Attempt,
        target: Installed,
        outcome: str,
    ) -> HookResult | None:
        if not command:
            return None
        variables = {
            "DEWY_TAG": attempt.target,
            "DEWY_PREVIOUS_TAG": attempt.previous,
            **self._release_store.describe(target),
            "DEWY_OUTCOME": outcome,
        }
        result = await run(
            command,
            kind=kind,
            cwd=self._settings.current.root,
            variables=variables,
            timeout=self._settings.current.hook_timeout,
        )
        fate = "succeeded" if result.success else f"failed: {result.reason}"
        self._deployment_log.tell(
            NoticeKind.HOOK,
            f"{kind.value} hook {fate}",
            hook=_told(kind, result),
        )
        return result


def _output(result: HookResult) -> tuple[str, ...]:
    """Return the last lines of both streams."""
    streams = (result.stdout, result.stderr)
    return tuple(line for text in streams for line in text.splitlines()[-LINES:])


def _story(result: HookResult) -> str:
    """Return the command and its last line, which stay on this host."""
    return ": ".join(filter(None, (result.command, last_words(_output(result)))))


def _told(kind: HookKind, result: HookResult) -> Hook:
    return Hook(
        kind.value,
        result.command,
        result.success,
        result.exit_code,
        result.duration,
        tail(result.stdout),
        tail(result.stderr),
    )
