"""Queue of one notifier, so that nobody else has to wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Self

from ..errors import DewyError
from . import Notice, Notifier

log = logging.getLogger(__name__)

WAITING = 200
FAREWELL = 10.0
"""Seconds that leaving waits for what is left."""

MOMENT = 2.0
"""The same where the target is failing already."""


class NoticeQueue:
    """
    A queue that takes notices at once; a task of its own delivers them in order.

    When too many wait, the oldest of those that do not matter goes, else the
    oldest. Leaving waits a little for what is left.

    Args:
        leave: Called when leaving begins; returns whether the target is failing.
    """

    def __init__(
        self, notifier: Notifier, leave: Callable[[], bool] = lambda: False
    ) -> None:
        self._notifier = notifier
        self._leave = leave
        self._waiting: deque[Notice] = deque()
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return the number of waiting notices, without the one being delivered."""
        return len(self._waiting)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._deliver(), name="notices of a target")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        try:
            async with asyncio.timeout(MOMENT if self._leave() else FAREWELL):
                await self._idle.wait()
        except TimeoutError:
            log.warning("Notices lost", extra={"count": len(self._waiting) + 1})
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def send(self, notice: Notice) -> None:
        """Have *notice* delivered; it does not take long, and it does not fail."""
        if len(self._waiting) >= WAITING:
            self._make_room()
        self._waiting.append(notice)
        self._idle.clear()
        self._wanted.set()

    def _make_room(self) -> None:
        first = self._waiting[0]
        lost = next((each for each in self._waiting if not each.matters), first)
        self._waiting.remove(lost)
        log.warning("Notice dropped", extra={"notice": lost.text})

    async def _deliver(self) -> None:
        while True:
            while self._waiting:
                await self._offer(self._waiting.popleft())
            self._idle.set()
            self._wanted.clear()
            await self._wanted.wait()

    async def _offer(self, notice: Notice) -> None:
        try:
            await self._notifier.send(notice)
        except (DewyError, OSError) as exc:
            log.warning("Notice not delivered", extra={"error": str(exc)})
        except Exception:
            # A fault of one notifier must not keep it from its next notice.
            log.exception("Notifier ran into a fault")
