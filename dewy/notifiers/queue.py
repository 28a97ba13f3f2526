"""Queue of one notifier: notices that wait for its target, and the target's health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from ..errors import DewyError, RemoteError
from ..logs import summary
from ..system import Clock
from . import Notice, Notifier, PartlyDelivered, Undeliverable

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

    When too many wait, the oldest ordinary one is dropped, or else the oldest.

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
        Attempt each notice once, and at once, from now on; idempotent.

        In a *hurry* only a target that took the last notice is waited for.
        """
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._patience(hurry)
            self._wake()

    async def send(self, notice: Notice) -> None:
        """Queue *notice* for delivery; returns quickly, and never fails."""
        if lost := self._backlog.add(notice):
            self.health.lose()
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
        self.health.lose()

    def _give_up(self) -> None:
        """Let go of all that waits: a target that fails is not worth more attempts."""
        if lost := self._backlog.clear():
            self.health.lose(lost)
            log.warning("Notices lost", extra={"count": lost})


@dataclass(slots=True)
class Health:
    """
    Counts and the last failure of a notifier.

    Attributes:
        delivered: Notices that the target took.

        failed: Attempts that failed.

        lost: Notices that were given up or dropped.

        problem: The failure of the last attempt, or "" if that succeeded.
    """

    delivered: int = 0
    failed: int = 0
    lost: int = 0
    problem: str = ""

    @property
    def proven(self) -> bool:
        """True if the last attempt succeeded."""
        return bool(self.delivered) and not self.problem

    def succeed(self) -> None:
        """Count a notice that was taken."""
        self.delivered += 1
        self.problem = ""

    def fail(self, problem: str) -> None:
        """Count an attempt that failed."""
        self.failed += 1
        self.problem = problem

    def lose(self, count: int = 1) -> None:
        """Count notices that were given up or dropped."""
        self.lost += count


WAITING = 200

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

STALE = 600.0
"""Seconds after which nobody wants to hear of what does not matter."""

TOO_LATE = 86400.0
"""Seconds after which nobody wants to hear of anything."""


@dataclass(eq=False, slots=True)
class Waiting:
    """
    A notice that waits.

    Attributes:
        expires: The time at which the notice is given up, by the monotonic clock.

        due: The time of the next attempt, where it has one of its own.

        attempts: Those that failed.
    """

    notice: Notice
    expires: float
    due: float = 0.0
    attempts: int = 0

    def fail(self) -> None:
        """Count an attempt that failed."""
        self.attempts += 1

    def postpone(self, until: float) -> None:
        """Attempt it again at *until*, or later if that was said before."""
        self.due = max(self.due, until)


class Backlog:
    """
    Notices in order, with the pauses that failures make.

    While the target fails, pauses lie between two attempts, which grow from a second
    to a minute, or are as long as it asked for. A notice that is new ends them: those
    before it are tried again first, and whatever becomes of that, it is offered, too.
    Where the target asked to be left alone, only new ones that matter are offered.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[Waiting] = []
        self._failures = 0
        self._due = 0.0
        self._alone = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Notice]:
        return (each.notice for each in self._waiting)

    def add(self, notice: Notice) -> Notice | None:
        """
        Add *notice*; return the one that made room, if any: the oldest that matters
        least.
        """
        lost = self._least() if len(self._waiting) >= WAITING else None
        if lost is not None:
            self.remove(lost)
        # A clock that was set back or forth makes no notice older than a moment.
        age = max(self._clock.wall() - notice.at, 0.0) if notice.at else 0.0
        limit = TOO_LATE if notice.matters else STALE
        expires = self._clock.monotonic() - age + limit
        self._waiting.append(Waiting(notice, expires))
        self._due = 0.0
        return lost.notice if lost else None

    def remove(self, waiting: Waiting) -> None:
        """Remove *waiting*; idempotent."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def clear(self) -> int:
        """Remove all notices; return their number."""
        count = len(self._waiting)
        self._waiting.clear()
        return count

    def expired(self) -> list[Waiting]:
        """Remove the expired notices, and return them."""
        now = self._clock.monotonic()
        lost = [each for each in self._waiting if each.expires <= now]
        self._waiting = [each for each in self._waiting if each not in lost]
        return lost

    def next(self) -> Waiting | None:
        """Return the first one whose time has come."""
        now = self._clock.monotonic()
        return next((e for e in self._waiting if self._ready(e) <= now), None)

    def last(self) -> Waiting | None:
        """Return the first one for a last attempt: one that was not offered yet."""
        return min(self._waiting, key=lambda each: each.attempts > 0, default=None)

    def rest(self) -> float | None:
        """Return the seconds until the next attempt; None if nothing waits."""
        moments = [min(self._ready(e), e.expires) for e in self._waiting]
        return max(min(moments) - self._clock.monotonic(), 0.0) if moments else None

    def delivered(self, waiting: Waiting) -> None:
        """Note that the target took *waiting*, and so may take others."""
        self.remove(waiting)
        self._works()

    def failed(self, waiting: Waiting, exc: Exception) -> None:
        """Note that the target did not take *waiting*, for now."""
        now, asked = self._clock.monotonic(), _asked(exc)
        waiting.fail()
        if isinstance(exc, PartlyDelivered):
            self._works()
            waiting.postpone(now + max(asked, self._pause(waiting.attempts)))
            return
        if not self._failures or waiting.attempts > 1:
            self._failures += 1
            self._due = now + self._pause(self._failures)
        if asked:
            self._stay_away(now + asked)

    def _works(self) -> None:
        self._failures, self._due, self._alone = 0, 0.0, 0.0

    def _stay_away(self, until: float) -> None:
        self._alone = max(self._alone, until)
        # All that were offered, so that they stay in their order.
        for each in self._waiting:
            if each.attempts:
                each.postpone(until)

    def _ready(self, waiting: Waiting) -> float:
        if waiting.attempts:
            return max(waiting.due, self._due)
        return 0.0 if waiting.notice.matters else self._alone

    def _pause(self, failures: int) -> float:
        pause = min(FIRST_PAUSE * 2.0 ** (min(failures, 30) - 1), LONGEST_PAUSE)
        return pause * (1 + self._clock.jitter() / 4)

    def _least(self) -> Waiting:
        ordinary = (each for each in self._waiting if not each.notice.matters)
        return next(ordinary, self._waiting[0])


def _asked(exc: Exception) -> float:
    return (exc.retry_after or 0.0) if isinstance(exc, RemoteError) else 0.0
