"""Queue of one notifier, so that nobody else has to wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

from ..errors import DewyError
from ..logs import summary
from ..system import Clock
from . import Notice, Notifier, PartlyDelivered, Undeliverable
from .backlog import Backlog, Waiting
from .health import Health

__all__ = ["NoticeQueue"]

log = logging.getLogger(__name__)

DELIVERY = 15.0
"""Seconds that one attempt may take."""

FAREWELL = 10.0
"""Seconds that leaving waits for what is left."""

MOMENT = 2.0
"""The same where the target is failing already."""

HURRY = 3.0
"""The same while a successor may be waiting, and the target took the last notice."""

SLOW = 2.0
"""Seconds after which an attempt that is under way counts as failing."""

Sleep = Callable[[float], Awaitable[None]]


class NoticeQueue:
    """
    A queue that takes notices at once; a task of its own delivers them, one at a time.

    When too many wait, the oldest of those that do not matter goes, else the oldest.

    Attributes:
        health: Counts of what was delivered and lost, and the last failure.
    """

    def __init__(
        self, notifier: Notifier, clock: Clock, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.health = Health()
        self._notifier = notifier
        self._backlog = Backlog(clock)
        self._sleep = sleep
        self._idle = asyncio.Event()
        self._idle.set()
        self._pause: asyncio.Timeout | None = None
        self._task: asyncio.Task[None] | None = None
        self._until: float | None = None
        self._begun: float | None = None

    def __len__(self) -> int:
        """Return the number of notices that are not delivered yet."""
        return len(self._backlog)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._deliver(), name="notices of a target")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        self.leave()
        try:
            async with asyncio.timeout_at(self._until):
                await self._idle.wait()
        except TimeoutError:
            self._give_up()
        finally:
            task.cancel()
            await asyncio.wait({task})

    def leave(self, *, hurry: bool = False) -> None:
        """
        From now on attempt each notice once, and at once; idempotent.

        In a *hurry* only a target that took the last notice is waited for.
        """
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._patience(hurry)
            self._wake()

    async def send(self, notice: Notice) -> None:
        """Have *notice* delivered; it does not take long, and it does not fail."""
        if lost := self._backlog.add(notice):
            self.health.lost += 1
            log.warning("Notice dropped", extra={"notice": lost.text})
        self._idle.clear()
        self._wake()

    def _patience(self, hurry: bool) -> float:
        now = asyncio.get_running_loop().time()
        slow = self._begun is not None and now - self._begun > SLOW
        if hurry:
            return HURRY if self.health.proven and not slow else 0.0
        return MOMENT if self.health.problem or slow else FAREWELL

    def _wake(self) -> None:
        # Once: a pause that is ending already cannot be moved.
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.reschedule(asyncio.get_running_loop().time())

    async def _deliver(self) -> None:
        while True:
            for waiting in self._backlog.expired():
                self._lose(waiting, f"given up after {waiting.attempts} attempts")
            leaving = self._until is not None
            chosen = self._backlog.last() if leaving else self._backlog.next()
            if chosen is not None:
                await self._offer(chosen)
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Sleep until it is time for another attempt, or until something comes."""
        seconds = self._backlog.rest()
        if seconds is None:
            self._idle.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._pause:
                    if seconds is None:
                        await asyncio.Event().wait()
                    else:
                        await self._sleep(seconds)
        finally:
            self._pause = None

    async def _offer(self, waiting: Waiting) -> None:
        self._begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(DELIVERY):
                await self._notifier.send(waiting.notice)
        except Undeliverable as exc:
            self.health.fail(summary(exc))
            self._lose(waiting, summary(exc))
        except (DewyError, OSError) as exc:  # TimeoutError is an OSError
            self._failed(waiting, exc)
        except Exception as exc:
            # A fault of one notifier must not keep it from its next notice.
            log.exception("Notifier ran into a fault")
            self.health.fail(f"a fault: {summary(exc)}")
            self._forget(waiting)
        else:
            if self.health.problem:
                log.info("Notices are delivered again")
            self.health.succeed()
            self._backlog.delivered(waiting)
        finally:
            self._begun = None

    def _failed(self, waiting: Waiting, exc: DewyError | OSError) -> None:
        why = summary(exc) if str(exc) else f"no answer within {DELIVERY:g} s"
        # Once for each outage: the status has it for as long as it lasts.
        level = logging.DEBUG if self.health.problem else logging.WARNING
        self.health.fail(why)
        self._backlog.failed(waiting, exc)
        log.log(level, "Notice not delivered yet", extra={"error": why})
        if self._until is None:
            return
        if isinstance(exc, PartlyDelivered):
            self._forget(waiting)
        else:
            self._give_up()

    def _lose(self, waiting: Waiting, why: str) -> None:
        self._forget(waiting)
        log.warning("Notice not delivered", extra={"error": why})

    def _forget(self, waiting: Waiting) -> None:
        self._backlog.remove(waiting)
        self.health.lost += 1

    def _give_up(self) -> None:
        """Let go of all that waits: a target that fails is not worth more attempts."""
        if lost := self._backlog.clear():
            self.health.lost += lost
            log.warning("Notices lost", extra={"count": lost})
