"""Saying the same once."""

from __future__ import annotations

from ..system import Clock
from . import Notice, NoticeKind, Notifier

WINDOW = 600.0
"""Seconds in which nobody has to hear the same twice in a row."""


class Dedup:
    """
    A filter of notices that say what the one before them said.

    Not so where it is important: a second deployment of a version is one.
    """

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._last: Notice | None = None
        self._at = 0.0

    async def send(self, notice: Notice) -> None:
        now = self._clock.monotonic()
        repeated = notice == self._last and now - self._at < WINDOW
        if repeated and notice.kind is not NoticeKind.IMPORTANT:
            return
        self._last, self._at = notice, now
        await self._notifier.send(notice)
