"""Notices that wait for one target, and which is offered next (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import RemoteError
from ..system import Clock
from . import Notice, PartlyDelivered

__all__ = ["WAITING", "Backlog", "Waiting"]

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
        expires: The time from which nobody wants to hear of it, by the monotonic
            clock.

        due: The time of the next attempt, where it has one of its own.

        attempts: Those that failed.
    """

    notice: Notice
    expires: float
    due: float = 0.0
    attempts: int = 0


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
        """Let go of *waiting*; idempotent."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def clear(self) -> int:
        """Let go of all; return how many they were."""
        count = len(self._waiting)
        self._waiting.clear()
        return count

    def expired(self) -> list[Waiting]:
        """Let go of those nobody wants to hear of any more, and return them."""
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
        waiting.attempts += 1
        if isinstance(exc, PartlyDelivered):
            self._works()
            waiting.due = now + max(asked, self._pause(waiting.attempts))
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
                each.due = max(each.due, until)

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
