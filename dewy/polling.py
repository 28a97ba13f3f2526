"""The schedule of polls of the registry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from .config import Settings
from .deploy.deployment_log import DeploymentLog
from .deploy.poll_schedule import next_poll
from .errors import DewyError, NotYet, RemoteError
from .logs import detailed, summary
from .system import Clock

log = logging.getLogger(__name__)


class Poller:
    """
    A loop that calls *tick* again and again, at a pace that spares the registry.

    Attributes:
        prepare: Awaited before each tick, if given; fails as a tick does.

        problem: The failure of the last tick, or "".

        last_at, next_at: The times of the last and the next poll, seconds since the
            epoch.

        polls, failed: The numbers of polls, and of those that failed.
    """

    def __init__(
        self,
        tick: Callable[[], Awaitable[None]],
        settings: Settings,
        clock: Clock,
        deployment_log: DeploymentLog | None = None,
    ) -> None:
        self._tick = tick
        self._deployment_log = deployment_log
        self.settings = settings
        self._clock = clock
        self._wanted = asyncio.Event()
        self._failures = 0
        self.prepare: Callable[[], Awaitable[None]] | None = None
        self.problem = ""
        self.last_at: float | None = None
        self.next_at: float | None = None
        self.polls = self.failed = 0

    def wake(self) -> None:
        """Look now, not when the interval has passed."""
        self._wanted.set()

    async def run(self, over: asyncio.Event) -> None:
        """
        Poll until cancelled; or until *over*, which is set right after that.

        A tick is long, and calls much that is not ours: what loses the
        cancellation must not keep dewy from ending.
        """
        while not over.is_set():
            delay = await self.once()
            self.next_at = self._clock.wall() + delay
            try:
                async with asyncio.timeout(delay):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    async def once(self) -> float:
        """
        Run a tick, report its failure if any, and return the seconds until the next.
        """
        self._wanted.clear()
        self.polls += 1
        retry_after = None
        try:
            if self.prepare:
                await self.prepare()
            await self._tick()
            self._succeeded()
        except NotYet as exc:
            self._succeeded()
            log.debug("Poll has to come back", extra={"why": str(exc)})
        except (DewyError, OSError) as exc:
            self._failed(exc)
            retry_after = exc.retry_after if isinstance(exc, RemoteError) else None
        except Exception as exc:
            # A fault of ours must not end the supervision of a program.
            log.exception("Poll ran into a fault of dewy")
            self._failed(exc)
        self.last_at = self._clock.wall()
        return next_poll(
            self.settings.interval,
            self._failures,
            self.settings.max_backoff_interval,
            retry_after,
            self._clock.jitter(),
        )

    def _succeeded(self) -> None:
        if self.problem:
            log.info("Poll succeeded again", extra={"after": self._failures})
        self._failures = 0
        self.problem = ""
        if self._deployment_log:
            self._deployment_log.poll_succeeded()

    def _failed(self, exc: Exception) -> None:
        self._failures += 1
        self.failed += 1
        self.problem = summary(exc)
        log.error("Poll failed", extra={"error": detailed(exc), "row": self._failures})
        if self._deployment_log:
            self._deployment_log.poll_failed(exc)
