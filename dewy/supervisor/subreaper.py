"""
Adoption of orphaned descendants by dewy, prctl(2) PR_SET_CHILD_SUBREAPER.

A process whose parent has ended becomes dewy's child instead of init's, and has to
be reaped when it ends. Statuses that other parts of dewy wait for must not be taken
from them, so nothing here waits for just any child.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

from .processes import Child, children

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
