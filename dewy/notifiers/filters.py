"""Filters before a notifier: level, deduplication, redaction, throttling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..system import Clock
from . import Hook, Notice, NoticeKind, Notifier
from .format import duration


class MinLevel:
    """A filter that drops ordinary notices, and those of hooks that succeeded."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    async def send(self, notice: Notice) -> None:
        if notice.matters:
            await self._notifier.send(notice)


WINDOW = 600.0
"""Seconds in which an equal notice counts as a repetition."""


class Dedup:
    """
    A filter that drops a notice equal to the previous one.

    Important notices pass: a second deployment of a version is news.
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


Strike = Callable[[str], str]


class Redacting:
    """A filter that applies *strike* to every text, including the output of hooks."""

    def __init__(self, notifier: Notifier, strike: Strike) -> None:
        self._notifier = notifier
        self._strike = strike

    async def send(self, notice: Notice) -> None:
        strike = self._strike
        await self._notifier.send(
            replace(
                notice,
                text=strike(notice.text),
                fields=tuple((title, strike(text)) for title, text in notice.fields),
                hook=self._hook(notice.hook) if notice.hook else None,
            )
        )

    def _hook(self, hook: Hook) -> Hook:
        return replace(
            hook,
            command=self._strike(hook.command),
            stdout=self._strike(hook.stdout),
            stderr=self._strike(hook.stderr),
        )


ERRORS = 3
"""Errors of a series that pass."""


class Throttle:
    """
    A filter that passes the first errors of a series, and drops further ones.

    After them it drops ordinary notices and those of hooks, too, until the series ends:
    with its recovery or, as all series do, with an important notice. The notice that
    ends a series states the number of errors and how long it lasted.
    """

    def __init__(self, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        # The number of errors of each series, and the monotonic time of the first.
        self._open: dict[str, tuple[int, float]] = {}

    async def send(self, notice: Notice) -> None:
        passed = self._judge(notice)
        if passed is not None:
            await self._notifier.send(passed)

    def _judge(self, notice: Notice) -> Notice | None:
        match notice.kind:
            case NoticeKind.ERROR:
                return self._error(notice)
            case NoticeKind.RECOVERY:
                known = notice.series in self._open
                return self._end(notice, ", after ", notice.series) if known else None
            case NoticeKind.IMPORTANT:
                return self._end(notice, "\nResolved: ", *self._open)
            case _:
                silent = any(errors >= ERRORS for errors, _ in self._open.values())
                return None if silent else notice

    def _error(self, notice: Notice) -> Notice | None:
        now = self._clock.monotonic()
        errors, since = self._open.get(notice.series, (0, now))
        errors += 1
        self._open[notice.series] = errors, since
        if errors < ERRORS:
            return notice
        if errors > ERRORS:
            return None
        last = "No more errors will be sent until this has been resolved."
        return replace(notice, text=f"{notice.text}\n{last}")

    def _end(self, notice: Notice, lead: str, *names: str) -> Notice:
        over = [self._open.pop(name) for name in names]
        if not over:
            return notice
        errors = sum(count for count, _ in over)
        lasted = duration(self._clock.monotonic() - min(since for _, since in over))
        many = "1 error" if errors == 1 else f"{errors} errors"
        return replace(notice, text=f"{notice.text}{lead}{many} in {lasted}")
