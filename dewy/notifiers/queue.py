"""Queue of one notifier: notices that wait for its target, and its health."""

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
"""Seconds that leaving waits for the delivery of waiting notices."""

MOMENT = 2.0
"""The same if the target is failing."""

HURRY = 3.0
"""The same in a hurry, if the target accepted the last notice."""

SLOW = 2.0
"""Seconds after which an unfinished attempt counts as failing."""

Sleep = Callable[[float], Awaitable[None]]


class NoticeQueue:
    """
    A queue that accepts notices at once; its task delivers them one at a time.

    Beyond `WAITING` notices the oldest ordinary one is dropped, or else the oldest.

    Attributes:
        health: The counts and the last failure of the target.
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
        """Return the number of waiting notices."""
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
        Attempt each notice once, without delay, from now on; idempotent.

        In a *hurry*, `__aexit__` waits only for a target that accepted the last notice.
        """
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._leave_timeout(hurry)
            self._wake()

    async def send(self, notice: Notice) -> None:
        """Queue *notice* for delivery; neither blocks nor fails."""
        if lost := self._backlog.add(notice):
            self.health.lose()
            log.warning("Notice dropped", extra={"notice": lost.text})
        self._idle.clear()
        self._wake()

    def _leave_timeout(self, hurry: bool) -> float:
        now = asyncio.get_running_loop().time()
        slow = self._begun is not None and now - self._begun > SLOW
        if hurry:
            return HURRY if self.health.proven and not slow else 0.0
        return MOMENT if self.health.problem or slow else FAREWELL

    def _wake(self) -> None:
        # Once only: an expired timeout cannot be rescheduled.
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
        """Sleep until the next attempt is due, or `_wake` is called."""
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
            # A bug in the notifier must not end the task: the next notice may pass.
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
        # A warning once per outage; the status shows it until it ends.
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
        """Drop all waiting notices, since the target fails while dewy is leaving."""
        if lost := self._backlog.clear():
            self.health.lose(lost)
            log.warning("Notices lost", extra={"count": lost})


@dataclass(slots=True)
class Health:
    """
    Counts and the last failure of a notifier.

    Attributes:
        delivered: Number of notices that the target accepted.

        failed: Number of failed attempts.

        lost: Number of notices that were given up or dropped.

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
        """Count a notice that was delivered."""
        self.delivered += 1
        self.problem = ""

    def fail(self, problem: str) -> None:
        """Count a failed attempt."""
        self.failed += 1
        self.problem = problem

    def lose(self, count: int = 1) -> None:
        """Count notices that were given up or dropped."""
        self.lost += count


WAITING = 200
"""Maximum of waiting notices."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds of back-off after the first failure, and at most."""

STALE = 600.0
"""Seconds after which an ordinary notice is given up."""

TOO_LATE = 86400.0
"""Seconds after which a notice that matters is given up."""


@dataclass(eq=False, slots=True)
class Waiting:
    """
    A notice in the backlog.

    Attributes:
        expires: The monotonic time at which the notice is given up.

        due: The earliest monotonic time of the next attempt.

        attempts: Number of failed attempts.
    """

    notice: Notice
    expires: float
    due: float = 0.0
    attempts: int = 0

    def fail(self) -> None:
        """Count a failed attempt."""
        self.attempts += 1

    def postpone(self, until: float) -> None:
        """Make no attempt before *until*; an earlier call may have set a later time."""
        self.due = max(self.due, until)


class Backlog:
    """
    Waiting notices in order, with a back-off between attempts while the target fails.

    The back-off grows from a second to a minute, or is as long as the target asks for.
    A new notice ends it: the notices before it are attempted again, and then, whatever
    the result, the new one. While the target asks to wait, only new notices that matter
    are attempted.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[Waiting] = []
        self._failures = 0
        self._due = 0.0
        self._retry_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Notice]:
        return (each.notice for each in self._waiting)

    def add(self, notice: Notice) -> Notice | None:
        """
        Add *notice*; return the notice dropped for it, if any: the oldest ordinary one,
        or else the oldest.
        """
        lost = self._least_important() if len(self._waiting) >= WAITING else None
        if lost is not None:
            self.remove(lost)
        # Negative if the wall clock was set back since.
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
        """Return the first notice that is due."""
        now = self._clock.monotonic()
        return next((e for e in self._waiting if self._ready(e) <= now), None)

    def last(self) -> Waiting | None:
        """Return the next notice while leaving: one never attempted, or the first."""
        return min(self._waiting, key=lambda each: each.attempts > 0, default=None)

    def rest(self) -> float | None:
        """Return the seconds until a notice is due or expires; None if none waits."""
        times = [min(self._ready(e), e.expires) for e in self._waiting]
        return max(min(times) - self._clock.monotonic(), 0.0) if times else None

    def delivered(self, waiting: Waiting) -> None:
        """Remove *waiting*, which was delivered, and end the back-off."""
        self.remove(waiting)
        self._end_backoff()

    def failed(self, waiting: Waiting, exc: Exception) -> None:
        """Schedule further attempts after that of *waiting* failed with *exc*."""
        now, asked = self._clock.monotonic(), _retry_after(exc)
        waiting.fail()
        if isinstance(exc, PartlyDelivered):
            self._end_backoff()
            waiting.postpone(now + max(asked, self._pause(waiting.attempts)))
            return
        if not self._failures or waiting.attempts > 1:
            self._failures += 1
            self._due = now + self._pause(self._failures)
        if asked:
            self._hold_back(now + asked)

    def _end_backoff(self) -> None:
        self._failures, self._due, self._retry_at = 0, 0.0, 0.0

    def _hold_back(self, until: float) -> None:
        self._retry_at = max(self._retry_at, until)
        # All that were attempted, so that they stay in order.
        for each in self._waiting:
            if each.attempts:
                each.postpone(until)

    def _ready(self, waiting: Waiting) -> float:
        if waiting.attempts:
            return max(waiting.due, self._due)
        return 0.0 if waiting.notice.matters else self._retry_at

    def _pause(self, failures: int) -> float:
        pause = min(FIRST_PAUSE * 2.0 ** (min(failures, 30) - 1), LONGEST_PAUSE)
        return pause * (1 + self._clock.jitter() / 4)

    def _least_important(self) -> Waiting:
        ordinary = (each for each in self._waiting if not each.notice.matters)
        return next(ordinary, self._waiting[0])


def _retry_after(exc: Exception) -> float:
    return (exc.retry_after or 0.0) if isinstance(exc, RemoteError) else 0.0
