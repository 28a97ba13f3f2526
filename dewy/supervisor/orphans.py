"""
Orphans: descendants that dewy adopts, and programs that an earlier dewy left.

A process whose parent has ended becomes dewy's child instead of init's (prctl(2),
PR_SET_CHILD_SUBREAPER), and has to be reaped when it ends. Statuses that other parts
of dewy wait for must not be taken from them, so nothing here waits for just any child.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from ..system import start_time
from .processes import Child, children, holders, name_of

log = logging.getLogger(__name__)

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 5.0
"""Limit in seconds within which every part of dewy has reaped what it started."""


@contextmanager
def subreaper() -> Iterator[None]:
    """Adopt orphaned descendants while this is entered, where the system can."""
    adopting = _set(True)
    try:
        yield
    finally:
        if adopting:
            _set(False)


class OrphanReaper:
    """
    Reaper of adopted processes that have ended.

    Args:
        leaders: The processes of generations, which are waited for elsewhere.
    """

    def __init__(self, leaders: Callable[[], Collection[int]]) -> None:
        self._leaders = leaders
        self._since: dict[tuple[int, int], float] = {}

    async def look(self) -> None:
        """Reap those that no other part of dewy waits for."""
        leaders = frozenset(self._leaders())
        await asyncio.to_thread(self._look, leaders)

    def _look(self, leaders: frozenset[int]) -> None:
        now = time.monotonic()
        ended = {
            (child.pid, child.started): child
            for child in children(os.getpid())
            if child.ended and child.pid not in leaders
        }
        self._since = {key: self._since.get(key, now) for key in ended}
        for key, child in ended.items():
            if _is_adopted(child, leaders) or now - self._since[key] >= PATIENCE:
                with suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)


def _is_adopted(child: Child, leaders: frozenset[int]) -> bool:
    """Return whether the child is in a generation's session, which then started it."""
    return child.session in leaders


def _set(adopting: bool) -> bool:
    if sys.platform != "linux":
        return False
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return bool(prctl(PR_SET_CHILD_SUBREAPER, int(adopting), 0, 0, 0) == 0)


POLL = 0.05
DYING = 5.0
"""Seconds that a killed process may take to be gone, unless a mount hangs."""

DEWY = "dewy"


class LeftPrograms:
    """
    Terminator of what was left behind in *root*, port by port, while entered.

    The original leaves its worker behind when it is killed. A process belongs to a root
    if its executable, an argument or its working directory lies in it; an active dewy,
    or the original at work, does not.

    Args:
        patience: Seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, root: Path, patience: float) -> None:
        self._root = root
        self._patience = patience
        self._until: dict[int, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def end(self, port: int) -> bool:
        """
        End the processes that listen on TCP *port*; return whether they will end.

        The call returns at once: they close the port before they have answered every
        request, and no client is to be turned away until they have.
        """
        found, shown = await asyncio.to_thread(left_at, port, self._root)
        now = asyncio.get_running_loop().time()
        new = {pid: begun for pid, begun in found.items() if pid not in self._until}
        if new:
            log.warning(
                "Ended program that an earlier dewy left at the port",
                extra={"port": port, "processes": shown},
            )
            ending = end_in_order(new, self._patience)
            name = f"end of what was left at port {port}"
            self._tasks.append(asyncio.create_task(ending, name=name))
            self._until.update(dict.fromkeys(new, now + self._patience))
        return any(now <= self._until[pid] for pid in found)


async def end_in_order(processes: Mapping[int, int], patience: float) -> None:
    """
    Send SIGTERM to *processes* (pids with start times), and wait for their end.

    After *patience* seconds the remaining ones are killed. Those that a mount that
    hangs keeps alive even then are left behind.
    """
    left = dict(processes)
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, DYING)):
        _send(left, number)
        left = await _ended_within(left, seconds)
        if not left:
            return
    log.error("Left processes that cannot be killed", extra={"pids": sorted(left)})


async def _ended_within(processes: Mapping[int, int], seconds: float) -> dict[int, int]:
    """Wait for the end of *processes*, at most *seconds*; return those that live."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        left = {p: b for p, b in processes.items() if start_time(p) == b}
        if not left or loop.time() >= deadline:
            return left
        await asyncio.sleep(POLL)  # not dewy's children: no event tells


def lies_below(root: Path, executable: str, words: Sequence[str], cwd: str) -> bool:
    """Return whether a process with these paths belongs to *root*."""
    top = os.path.realpath(root)
    if top == "/":
        return False
    paths = [cwd, executable, *(os.path.join(cwd, w) for w in words if "/" in w)]
    return any(
        (real := os.path.realpath(path)) == top or real.startswith(f"{top}/")
        for path in paths
    )


def left_at(port: int, root: Path) -> tuple[dict[int, int], list[str]]:
    """
    Return what was left in *root* and listens on TCP *port*: pids with start times.

    The first value is None if anything else listens there, too. The list is for people.
    """
    found = {}
    for pid in holders(port):
        begun = start_time(pid)
        if begun is None:
            continue
        if pid == os.getpid() or _is_dewy(pid) or not works_in(pid, root):
            return {}, []
        found[pid] = begun
    return found, [_shown(pid) for pid in found]


def works_in(pid: int, root: Path) -> bool:
    """Return whether process *pid* belongs to *root*, as far as permissions show."""
    try:
        executable = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
        cwd = os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
        words = list(_words(pid))
    except OSError:
        return False
    return lies_below(root, executable, words, cwd)


def _is_dewy(pid: int) -> bool:
    """
    Return whether *pid* is an active dewy, which would only start its program again.
    """
    with suppress(OSError):
        words = [word.partition("=")[0] for word in _words(pid)]
        return name_of(pid) == DEWY or "--registry" in words
    return False


def _words(pid: int) -> Iterator[str]:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        yield from map(os.fsdecode, file.read().split(b"\0"))


def _shown(pid: int) -> str:
    with suppress(OSError):
        return f"{name_of(pid)} (pid {pid})"
    return f"pid {pid}"


def _send(processes: Iterable[int], number: int) -> None:
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
