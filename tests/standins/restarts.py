"""Asking a dewy for graceful restarts, and counting what it has left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.standins.site import Dewy

LOOKS = 40
PAUSE = 0.005


async def generation(dewy: Dewy) -> int:
    """The number of the one that serves, once it is alone."""
    status = await dewy.until(lambda status: len(status["generations"]) == 1)
    return int(status["generations"][0]["generation"])


async def restart(dewy: Dewy) -> None:
    """One graceful restart, from the signal to the end of the old generation."""
    expected = [(await generation(dewy) + 1, "serving")]
    dewy.signal(signal.SIGHUP)
    await dewy.until(
        lambda status: (
            expected == [(g["generation"], g["state"]) for g in status["generations"]]
        )
    )


def children(pid: int) -> dict[int, str]:
    """
    The state of each child of *pid*: `S`, `Z`, … (proc(5)).

    But not of the helpers that look at files for it, while they live.
    """
    states = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue  # it ended meanwhile
        state, parent = rest.rpartition(") ")[2].split()[:2]
        if int(parent) == pid and not _is_helper(stat.parent):
            states[int(child)] = state
    return states


def _is_helper(process: Path) -> bool:
    try:
        return b"dewy.ioprocess.serve" in (process / "cmdline").read_bytes()
    except OSError:
        return False


async def descriptors(pid: int, *, pipes: bool = True) -> int:
    """
    How many *pid* has open when it is doing nothing: the fewest of many looks.

    Without *pipes*, which the relay keeps for later, up to a limit.
    """
    fewest = sys.maxsize
    for _ in range(LOOKS):
        found = [
            _target(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")
        ]
        counted = [name for name in found if pipes or not name.startswith("pipe:")]
        fewest = min(fewest, len(counted))
        await asyncio.sleep(PAUSE)
    return fewest


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
