"""Exit of a process whose loop, threads or peers do not come to an end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Self

__all__ = ["LastResort"]

log = logging.getLogger(__name__)

FAILED = 1
TELLING = 0.5
"""Seconds to write the last line of the log, whose reader may hang, too."""


class LastResort:
    """
    Timer that ends this process at a deadline, from a thread, unless stopped before.

    Attributes:
        kill: Called first, in that thread, to end what must not outlive the process.
    """

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self.kill: Callable[[], None] = _nothing
        self._leave = leave
        self._deadline = float("inf")
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._set(float("inf"))

    def within(self, seconds: float) -> None:
        """Exit *seconds* from now, or earlier if that was set before."""
        self._set(min(self._deadline, time.monotonic() + seconds))
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._watch, name="last resort", daemon=True
            )
            self._thread.start()

    def _set(self, deadline: float) -> None:
        with self._changed:
            self._deadline = deadline
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while (left := self._deadline - time.monotonic()) > 0:
                if left == float("inf"):
                    return
                self._changed.wait(left)
        try:
            self.kill()
        finally:
            telling = threading.Thread(target=_tell, daemon=True)
            telling.start()
            telling.join(TELLING)
            self._leave(FAILED)


def _tell() -> None:
    log.error("Left at once, for stopping did not come to an end")


def _nothing() -> None:
    """Do nothing: there is nothing to kill yet."""
