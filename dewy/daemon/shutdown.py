"""Limit of the time that stopping takes, whatever hangs: loop, threads or peers."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Self

from ..config import Settings
from ..signals import Signals

__all__ = ["MARGIN", "LastResort", "ended"]

log = logging.getLogger(__name__)

KILLING = 3.0
"""Seconds of `--shutdown-timeout` that are kept for killing and removing."""

MARGIN = 3.0
"""Seconds beyond it, after which dewy exits whatever is still going on."""


async def ended(
    keeping: asyncio.Task[int],
    settings: Settings,
    signals: Signals,
    last_resort: LastResort,
) -> None:
    """
    Return when *keeping*, which was cancelled, has ended.

    Anything still draining when the time is nearly over, or at a second signal, is
    killed. If even that does not end it, the process exits.
    """
    seconds = settings.shutdown_timeout
    last_resort.within(seconds + MARGIN, lambda: signals.kill())
    hurried = asyncio.create_task(signals.hurry.wait(), name="hurry")
    await asyncio.wait(
        {keeping, hurried},
        timeout=seconds - min(KILLING, seconds / 2),
        return_when=asyncio.FIRST_COMPLETED,
    )
    if not keeping.done():
        if not signals.hurry.is_set():
            log.warning(
                "Killing what still drains, since --shutdown-timeout is nearly over",
                extra={"shutdown_timeout": seconds},
            )
        signals.hurry.set()
        last_resort.within(KILLING + MARGIN)
    await asyncio.wait({keeping})
    hurried.cancel()
    await asyncio.wait({hurried})


FAILED = 1
TELLING = 0.5
"""Seconds to write the last line of the log, whose reader may hang, too."""


class LastResort:
    """
    Timer that ends this process at a deadline, from a thread, unless stopped before.
    """

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self._kill: Callable[[], None] | None = None
        self._leave = leave
        self._deadline = float("inf")
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._set(float("inf"))

    def within(self, seconds: float, kill: Callable[[], None] | None = None) -> None:
        """
        Exit *seconds* from now, or earlier if that was set before.

        *kill* is called first, in the thread, to end what must not outlive the process.
        """
        self._kill = kill or self._kill
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
            if self._kill is not None:
                self._kill()
        finally:
            telling = threading.Thread(target=_tell, daemon=True)
            telling.start()
            telling.join(TELLING)
            self._leave(FAILED)


def _tell() -> None:
    log.error("Exited by force, since stopping did not finish")
