"""Three errors, then silence, and one word when it is over."""

from __future__ import annotations

from dataclasses import replace

from ..system import Clock
from . import Kind, Notice, Notifier
from .format import duration

ERRORS = 3


class Throttle:
    """
    A filter that passes the first errors of a series, and in between only what
    ends it: a deployment that succeeded, or polls that succeed again. The
    notice of the end says how long the series lasted.
    """

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._errors = 0
        self._since = 0.0

    async def send(self, notice: Notice) -> None:
        passed = self._judge(notice)
        if passed is not None:
            await self._notifier.send(passed)

    def _judge(self, notice: Notice) -> Notice | None:
        match notice.kind:
            case Kind.ERROR:
                return self._error(notice)
            case Kind.RECOVERY:
                return self._end(notice, ", after ") if self._errors else None
            case Kind.IMPORTANT:
                return self._end(notice, "\nThis ends trouble: ")
            case _:
                return notice if self._errors < ERRORS else None

    def _error(self, notice: Notice) -> Notice | None:
        if not self._errors:
            self._since = self._clock.monotonic()
        self._errors += 1
        if self._errors < ERRORS:
            return notice
        if self._errors > ERRORS:
            return None
        last = "No more errors are told until this has been resolved."
        return replace(notice, text=f"{notice.text}\n{last}")

    def _end(self, notice: Notice, lead: str) -> Notice:
        errors, self._errors = self._errors, 0
        if not errors:
            return notice
        lasted = duration(self._clock.monotonic() - self._since)
        many = "1 error" if errors == 1 else f"{errors} errors"
        return replace(notice, text=f"{notice.text}{lead}{many} in {lasted}")
