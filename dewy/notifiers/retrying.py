"""Offering a notice until it is taken, or is not worth it any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ..errors import DewyError, RemoteError
from ..system import Clock
from . import Notice, Notifier, Undeliverable

log = logging.getLogger(__name__)

DELIVERY = 15.0
"""Seconds that one attempt may take."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

STALE = 600.0
"""Seconds after which nobody wants to hear of what does not matter."""

TOO_LATE = 86400.0
"""Seconds after which nobody wants to hear of anything."""

SLOW = 2.0
"""Seconds after which an attempt that is under way counts as failing."""

Sleep = Callable[[float], Awaitable[None]]


class Retrying:
    """
    A notifier whose attempts have a deadline, and are repeated after a failure.

    Pauses grow from a second to a minute, or are what the target asked for.
    """

    def __init__(
        self, notifier: Notifier, clock: Clock, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._notifier = notifier
        self._clock = clock
        self._sleep = sleep
        self._failing = False
        self._leaving = False
        self._attempt: float | None = None
        self._pause: asyncio.Timeout | None = None

    def leave(self) -> bool:
        """
        From now on attempt each notice once, and at once.

        Return whether the target is failing, as far as is known.
        """
        self._leaving = True
        if self._pause is not None:
            self._pause.reschedule(asyncio.get_running_loop().time())
        if self._attempt is not None:
            self._failing |= self._clock.monotonic() - self._attempt > SLOW
        return self._failing

    async def send(self, notice: Notice) -> None:
        """
        Deliver *notice*, however long that takes.

        Raises:
            RemoteError: delivery was given up.
        """
        began, pause = self._began(notice), FIRST_PAUSE
        limit = TOO_LATE if notice.matters else STALE
        attempts = 0
        while self._clock.monotonic() - began < limit:
            try:
                return await self._try(notice)
            except Undeliverable:
                raise
            except (DewyError, OSError) as exc:  # TimeoutError is an OSError
                attempts += 1
                self._tell(exc, attempts)
                asked = exc.retry_after if isinstance(exc, RemoteError) else None
            if self._leaving:
                break
            await self._wait(max(asked or 0.0, pause * (1 + self._clock.jitter() / 4)))
            pause = min(2 * pause, LONGEST_PAUSE)
        raise RemoteError(f"given up after {attempts} attempts")

    async def _try(self, notice: Notice) -> None:
        self._attempt = self._clock.monotonic()
        try:
            async with asyncio.timeout(DELIVERY):
                await self._notifier.send(notice)
            self._failing = False
        except (DewyError, OSError) as exc:
            self._failing = not isinstance(exc, Undeliverable)
            raise
        finally:
            self._attempt = None

    async def _wait(self, seconds: float) -> None:
        """Sleep for *seconds*, or until dewy leaves."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(None) as self._pause:
                    await self._sleep(seconds)
        finally:
            self._pause = None

    def _began(self, notice: Notice) -> float:
        # A clock that was set back or forth makes no notice older than a moment.
        age = self._clock.wall() - notice.at if notice.at else 0.0
        return self._clock.monotonic() - max(age, 0.0)

    def _tell(self, exc: Exception, attempts: int) -> None:
        level = logging.WARNING if attempts == 1 else logging.DEBUG
        why = str(exc) or f"no answer within {DELIVERY:g} s"
        log.log(level, "Notice not delivered yet", extra={"error": why})
