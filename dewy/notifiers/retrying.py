"""Offering a notice until it is taken, or is not worth it any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

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
                async with asyncio.timeout(DELIVERY):
                    return await self._notifier.send(notice)
            except Undeliverable:
                raise
            except (DewyError, OSError) as exc:  # TimeoutError is an OSError
                attempts += 1
                self._tell(exc, attempts)
                asked = exc.retry_after if isinstance(exc, RemoteError) else None
            await self._sleep(max(asked or 0.0, pause * (1 + self._clock.jitter() / 4)))
            pause = min(2 * pause, LONGEST_PAUSE)
        raise RemoteError(f"given up after {attempts} attempts")

    def _began(self, notice: Notice) -> float:
        # A clock that was set back or forth makes no notice older than a moment.
        age = self._clock.wall() - notice.at if notice.at else 0.0
        return self._clock.monotonic() - max(age, 0.0)

    def _tell(self, exc: Exception, attempts: int) -> None:
        level = logging.WARNING if attempts == 1 else logging.DEBUG
        why = str(exc) or f"no answer within {DELIVERY:g} s"
        log.log(level, "Notice not delivered yet", extra={"error": why})
