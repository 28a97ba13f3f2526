"""A program that an earlier dewy of this root left behind, and that holds a port."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..system import start_time
from .processes import holders, name_of

log = logging.getLogger(__name__)

POLL = 0.05
DEWY = "dewy"


async def end_left_program(port: int, root: Path, patience: float) -> bool:
    """
    End what listens on TCP *port*, if all of it belongs to *root*.

    The original leaves its worker behind when it is killed. A process belongs to a
    root if its executable, an argument or its working directory lies in it; a dewy
    that runs does not. SIGTERM first, SIGKILL after *patience* seconds. Return
    whether anything was ended.
    """
    found, shown = await asyncio.to_thread(_left, port, root)
    if not found:
        return False
    log.warning(
        "Ended program that an earlier dewy left at the port",
        extra={"port": port, "processes": shown},
    )
    loop = asyncio.get_running_loop()
    deadline, number = loop.time() + patience, signal.SIGTERM
    _send(found, number)
    while found := {p: b for p, b in found.items() if start_time(p) == b}:
        if number == signal.SIGTERM and loop.time() >= deadline:
            number = signal.SIGKILL
            _send(found, number)
        await asyncio.sleep(POLL)  # not our children: no event tells
    return True


def lies_below(root: Path, executable: str, words: Sequence[str], cwd: str) -> bool:
    """Whether a process with these paths belongs to *root*."""
    top = os.path.realpath(root)
    if top == "/":
        return False
    paths = [cwd, executable, *(os.path.join(cwd, w) for w in words if "/" in w)]
    return any(
        (real := os.path.realpath(path)) == top or real.startswith(f"{top}/")
        for path in paths
    )


def _left(port: int, root: Path) -> tuple[dict[int, int], list[str]]:
    """Each process with its start time; none if one of them is not ours to end."""
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
    """Whether process *pid* belongs to *root*, as far as we may see."""
    try:
        executable = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
        cwd = os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
        words = list(_words(pid))
    except OSError:
        return False
    return lies_below(root, executable, words, cwd)


def _is_dewy(pid: int) -> bool:
    with suppress(OSError):
        return name_of(pid) == DEWY
    return False


def _words(pid: int) -> Iterator[str]:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        yield from map(os.fsdecode, file.read().split(b"\0"))


def _shown(pid: int) -> str:
    with suppress(OSError):
        return f"{name_of(pid)} (pid {pid})"
    return f"pid {pid}"


def _send(processes: dict[int, int], number: int) -> None:
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
