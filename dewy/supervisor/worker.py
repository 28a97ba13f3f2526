"""Worker of one generation: its process, its output, and its notifications."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import StartFailed
from ..histogram import CheckResult
from ..logs import summary
from ..system import descriptor_limit, start_time, wait_pid
from .environment import GENERATION
from .launch import DESCRIPTORS
from .output import Output, TailLine
from .processes import (
    bearers,
    belongs,
    describe_exit,
    generation_mark,
    held,
    in_time,
    members,
)
from .readiness import ReadinessSocket

log = logging.getLogger(__name__)

LAUNCH = Path(__file__).with_name("launch.py")
LEFTOVER_POLL = 0.05
DAEMONIZING = 0.1
# Errors that prevent any program from being executed at this moment.
SCARCITY = frozenset(
    os.strerror(each)
    for each in (errno.EAGAIN, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
)


IN_USE = re.compile(
    r"address (?:is )?already in use|EADDRINUSE|only one usage of each socket address"
    r"|port \S+ is (?:already )?(?:in use|allocated|taken)",
    re.IGNORECASE,
)
BINDS_DEWYS = "; it binds the port that dewy passes on as descriptor 3 (LISTEN_FDS)"
BINDS_ITS_OWN = "; its port is in use: with --port dewy opens one for all its copies"


class Worker:
    """
    Running copy of the program, in a session of its own.

    Attributes:
        generation: Number from 1; every attempt takes one.

        pid: Process id, which also names the process group.

        started: Start time of that process, as `system.start_time` tells.

        exited: Return code once the process has ended (negative: a signal), or the
            reason why it could not be executed.

        notify: Socket to which it sends READY=1.

        release: Name of the release directory it was started from; "" if unknown.

        last_check: Result of the last check while it served; None before the first.

        unhealthy: Problem that its health checks agree on, or "".

        terminated_at: Time of the loop at which it was sent SIGTERM; 0 before.

        called_off: Whether it was ended while it started, for another to take over.
    """

    def __init__(self, generation: int, *, capture: bool) -> None:
        self.generation = generation
        self.pid = 0
        self.started = 0
        self.release = ""
        self.loop = asyncio.get_running_loop()
        self.since = self.loop.time()
        self.exited: asyncio.Future[int] = self.loop.create_future()
        self.notify = ReadinessSocket(self._belongs)
        self.terminating = self.called_off = False
        self.terminated_at = 0.0
        self.last_check: CheckResult | None = None
        self.unhealthy = ""
        try:
            self._output = Output() if capture else None
        except BaseException:
            self.notify.close()
            raise
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._let_go = False
        self._leftover: dict[int, int | None] = {}
        self._mark = ""
        self._sockets: frozenset[int] = frozenset()
        self._detached = False
        self._to_leftover = signal.SIGTERM
        self._reaper: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        state = "ended" if self.exited.done() else "running"
        return f"<Worker generation {self.generation}, pid {self.pid}, {state}>"

    def checked(self, result: CheckResult, *, healthy: bool) -> None:
        """Note the *result* of a health check, and the verdict that it led to."""
        self.last_check = result
        self.unhealthy = "" if healthy else result.problem

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    @property
    def ending(self) -> str:
        """Manner of its end, in words; only once `exited` is done."""
        text = describe_exit(self.exited.result())
        if self._detached:
            text += "; it went into the background: run it in the foreground"
        return text

    @property
    def tail(self) -> tuple[str, ...]:
        """Last lines of its output, oldest first."""
        return self._output.tail() if self._output else ()

    def lines_after(
        self, position: int, count: int
    ) -> tuple[tuple[TailLine, ...], int]:
        """See `Tail.after`."""
        return self._output.after(position, count) if self._output else ((), position)

    def spawn(
        self,
        program: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        descriptors: Sequence[int],
        release: str = "",
    ) -> None:
        """
        Fork; the child waits for `go` before it becomes *program*, of *release*.

        Called in the main thread: the kernel's parent-death signal is tied to
        the thread that forked. It blocks for the few milliseconds of a vfork.
        """
        self.release = release
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        listening = ",".join(map(str, descriptors)) or "-"
        self._mark = environment.get(GENERATION, "")
        self._sockets = frozenset(os.fstat(each).st_ino for each in descriptors)
        stdout, stderr = self._output.child_fds if self._output else (None, None)
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(LAUNCH)),
                    *(str(os.getpid()), str(theirs.fileno()), listening),
                    *program,
                ],
                cwd=cwd,
                env={**environment, DESCRIPTORS: str(descriptor_limit() or "")},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(theirs.fileno(), *descriptors),
                start_new_session=True,
            )
        finally:
            theirs.close()
            if self._output:
                self._output.close_child_fds()
        self.pid = self._process.pid
        self.started = start_time(self.pid) or 0
        self.since = self.loop.time()
        self._reaper = self.loop.create_task(
            self._reap(), name=f"generation {self.generation} end"
        )

    async def go(self, program: str) -> None:
        """
        Let the child become the program; return once it has.

        It may hang before that, as on a mount that does: the wait may be cancelled,
        and be taken up by another call.

        Raises:
            StartFailed: the program could not be executed.
        """
        control = self._control
        if control is None:
            return
        try:
            if not self._let_go:
                self._let_go = True
                await self.loop.sock_sendall(control, b"\n")
            problem = await self.loop.sock_recv(control, 1024)
        except ConnectionError as exc:
            problem = str(exc).encode()
        self._control = None
        control.close()
        if problem:
            await self.exited
            text = problem.decode()
            raise StartFailed(
                f"{program} cannot be executed: {text}", host=text in SCARCITY
            )

    def signal(self, number: int) -> None:
        """Send a signal to the leader, as Server::Starter does."""
        if self._process and self.alive:
            self._process.send_signal(number)

    async def unless_ended(self, doing: Awaitable[None]) -> None:
        """
        Await *doing*, but not past the end of this process.

        Raises:
            StartFailed: the process ended first.
        """
        task = asyncio.ensure_future(doing)
        either: set[asyncio.Future[Any]] = {task, self.exited}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self.exited.done():
                return await task
        finally:
            await cancel(task)
        raise self.failure("ended")

    def failure(self, how: str) -> StartFailed:
        """Return the error to raise for this generation, with its last lines."""
        text = f"generation {self.generation} {how}"
        if self.exited.done():
            text += f" ({self.ending}){self._hint()}"
        return StartFailed(text, log_tail=self.tail)

    def _hint(self) -> str:
        """Return what to do about a program that binds its port itself, or ""."""
        if not any(map(IN_USE.search, self.tail)):
            return ""
        return BINDS_DEWYS if self._sockets else BINDS_ITS_OWN

    async def stop(self, patience: float, hurry: asyncio.Event | None = None) -> None:
        """
        End it: SIGTERM, then SIGKILL to its whole group after *patience* seconds.

        Return when nothing of the generation is left. Setting *hurry* ends the patience
        early. Cancelling this kills at once.
        """
        if not self.pid:
            return self._never_ran()
        self.terminating, self.terminated_at = True, self.loop.time()
        self.signal(signal.SIGTERM)
        try:
            if not await self._wait_ended(patience, hurry):
                log.warning(
                    "Killed generation that did not end",
                    extra={"generation": self.generation, "pid": self.pid},
                )
        finally:
            self.kill()
        await self._ended.wait()

    def _never_ran(self) -> None:
        self.notify.close()
        if self._control:
            self._control.close()
        if self._output:
            self._output.close()
        if self.alive:
            self.exited.set_result(127)

    def call_off(self) -> None:
        """Take its end for no death: another one took over while it started."""
        self.called_off = True

    def kill(self) -> None:
        """Send SIGKILL to whatever is left of this generation."""
        if self._control:
            self._control.close()
        # Once reaped, its pid may be the name of another group.
        if self._process and self._process.returncode is None:
            _send(os.killpg, self.pid, signal.SIGKILL)
        self._to_leftover = signal.SIGKILL
        self._end_leftover()

    async def _wait_ended(self, patience: float, hurry: asyncio.Event | None) -> bool:
        waits = [asyncio.ensure_future(self._ended.wait())]
        if hurry is not None:
            waits.append(asyncio.ensure_future(hurry.wait()))
        try:
            await asyncio.wait(
                waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)
        return self._ended.is_set()

    def _belongs(self, pid: int) -> bool:
        return belongs(pid, self.pid) or (
            bool(self._mark) and generation_mark(pid) == self._mark
        )

    def _end_leftover(self) -> None:
        for pid in self._remaining():
            _send(os.kill, pid, self._to_leftover)

    def _remaining(self) -> list[int]:
        return [
            pid
            for pid, begun in self._leftover.items()
            if begun is not None and start_time(pid) == begun
        ]

    def _find_leftover(self) -> None:
        """Find the processes that outlive the leader, which is still a zombie."""
        found = members(self.pid) - {self.pid}
        bearing = self._bearers()
        self._leftover = {pid: start_time(pid) for pid in found} | bearing
        living = [pid for pid, begun in self._leftover.items() if begun is not None]
        with suppress(OSError):
            self._detached = bool(held(living, self._sockets))
        if strays := sorted(bearing.keys() - found):
            log.warning(
                "Ended what a generation left in sessions of its own",
                extra={"generation": self.generation, "pids": strays},
            )

    def _bearers(self) -> dict[int, int | None]:
        mark = self._mark
        return {**bearers(lambda found: found == mark)} if mark else {}

    async def _reap(self) -> None:
        """Wait for the leader's end, then for what it left behind."""
        assert self._process is not None
        await wait_pid(self.pid)
        # The leader is a zombie still, so its pid cannot name anything else yet.
        if not self.terminating and _ended_well(self.pid):
            # A daemon's first process ends before the last one is there.
            await asyncio.sleep(DAEMONIZING)
        with self._survived():
            await in_time(self._find_leftover)
        self._end_leftover()
        code = self._process.wait()
        if self._output:
            with self._survived():
                await asyncio.to_thread(self._output.flush)
        self.notify.close()
        self._detached = self._detached and code == 0
        self.exited.set_result(code)
        with self._survived():
            await self._outlive_leftover()
        if self._output:
            self._output.close()
        self._ended.set()

    async def _outlive_leftover(self) -> None:
        while True:
            while self._remaining():  # noqa: ASYNC110 - not ours: no event tells
                await asyncio.sleep(LEFTOVER_POLL)
            # Processes started before that ended, and nothing saw them.
            self._leftover = await in_time(self._bearers)
            if not self._leftover:
                break
            self._end_leftover()

    @contextmanager
    def _survived(self) -> Iterator[None]:
        """Log any failure: an unreported end leaves a dead program in service."""
        try:
            yield
        except (OSError, RuntimeError, MemoryError) as exc:
            # No descriptor, no memory or no thread to look with, or a look that hangs.
            log.error(
                "End of a generation not tracked: some of its processes may be left",
                extra={"generation": self.generation, "error": summary(exc)},
            )
            # Before the leader is reaped, its group can be named without looking.
            if self._process and self._process.returncode is None:
                _send(os.killpg, self.pid, self._to_leftover)


def _ended_well(pid: int) -> bool:
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    return bool(ended and ended.si_code == os.CLD_EXITED and not ended.si_status)


def _send(kill: Callable[[int, int], None], pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        kill(pid, number)


async def cancel(task: asyncio.Future[Any]) -> None:
    """Cancel *task*, as often as it takes, and return once it is over."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


@contextmanager
def afforded() -> Iterator[None]:
    """Turn a lack of processes, pipes or threads into StartFailed."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as exc:
        # RuntimeError: no thread; ValueError: a zero byte in the environment.
        raise StartFailed(
            f"the program cannot be started: {summary(exc)}", host=True
        ) from exc
