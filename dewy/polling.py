"""The schedule of polls of the registry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from .config import Reloadable, Settings
from .deploy.deployment_log import DeploymentLog
from .errors import (
    DeploymentError,
    DewyError,
    EngineError,
    NotYet,
    RemoteError,
    RootBusy,
    of_plugin,
)
from .logs import detail_of, detailed, summary
from .system import Clock, is_cancelled

log = logging.getLogger(__name__)


Tick = Callable[[], Awaitable[None]]


class Cause(Enum):
    """Part to blame for a failed tick; the value is its message in the log."""

    REGISTRY = "Poll failed"
    DEPLOYMENT = "Deployment failed"
    HOST = "Root check failed"
    FAULT = "Poll ran into a fault of dewy"
    PLUGIN = "Poll ran into a fault of a plugin"


PHRASES = {
    Cause.REGISTRY: "the last poll failed",
    Cause.DEPLOYMENT: "the last deployment failed",
    Cause.HOST: "the root check failed",
    Cause.FAULT: "the last poll ran into a fault of dewy",
    Cause.PLUGIN: "the last poll ran into a fault of a plugin",
}
"""The same among other reasons."""


@dataclass(frozen=True, slots=True)
class Series:
    """
    Consecutive failures with one cause.

    Attributes:
        count: The number of failures.

        problem: The last failure in one line.

        detail: Output of a program that belongs to the failure, never shown over HTTP;
            or "".
    """

    count: int
    problem: str
    detail: str


class Poller:
    """
    Loop that calls *tick* at intervals, with back-off while it fails.

    Attributes:
        series: The current series of failures, by their cause.

        last_at, next_at: The times of the last and the next poll, seconds since the
            epoch.

        polls, failed: The numbers of polls, and of those that failed at the registry.
    """

    def __init__(
        self,
        tick: Tick,
        settings: Reloadable[Settings],
        clock: Clock,
        deployment_log: DeploymentLog | None = None,
    ) -> None:
        self._tick = tick
        self._deployment_log = deployment_log
        self._settings = settings
        self._clock = clock
        self._wanted = asyncio.Event()
        self.series: dict[Cause, Series] = {}
        self.last_at: float | None = None
        self.next_at: float | None = None
        self.polls = self.failed = 0

    @property
    def problem(self) -> str:
        """The failure of the last tick in one line, or ""."""
        return next((each.problem for each in self._open()), "")

    @property
    def detail(self) -> str:
        """Output of a program that belongs to `problem`, or ""."""
        return next((each.detail for each in self._open()), "")

    def problems(self, told: str = "") -> list[str]:
        """Return a phrase for each series of failures, except for *told*."""
        return [
            f"{PHRASES[cause]}: {each.problem}"
            for cause, each in self.series.items()
            if each.problem != told
        ]

    def _open(self) -> Iterator[Series]:
        """Yield the series, the latest first."""
        return reversed(self.series.values())

    def wake(self) -> None:
        """Poll at once, without waiting for the interval to pass."""
        self._wanted.set()

    async def run(self, over: asyncio.Event, prepare: Tick | None = None) -> None:
        """
        Poll as `once` until cancelled; or until *over*, which is set right after that.

        A tick is long and calls foreign code; code that swallows the cancellation must
        not keep dewy from ending.
        """
        while not over.is_set():
            delay = await self.once(prepare)
            self.next_at = self._clock.wall() + delay
            try:
                async with asyncio.timeout(delay):
                    await self._wanted.wait()
            except TimeoutError:
                pass

    async def once(self, prepare: Tick | None = None) -> float:
        """
        Run a tick, report its failure if any, and return the seconds until the next.

        *prepare* is awaited before it, and fails as a tick does.
        """
        self._wanted.clear()
        self.polls += 1
        failures, retry_after = 0, None
        try:
            if prepare is not None:
                await prepare()
            await self._tick()
            self._succeeded()
        except NotYet as exc:
            self._succeeded()
            log.debug("Poll has to come back", extra={"why": str(exc)})
        except (DewyError, OSError) as exc:
            failures = self._failed(exc, self._cause(exc))
            retry_after = exc.retry_after if isinstance(exc, RemoteError) else None
        except (Exception, asyncio.CancelledError) as exc:
            if isinstance(exc, asyncio.CancelledError) and is_cancelled():
                raise
            # A fault of ours must not end the supervision of a program.
            cause = Cause.PLUGIN if of_plugin(exc) else Cause.FAULT
            log.exception(cause.value)
            failures = self._failed(exc, cause)
        self.last_at = self._clock.wall()
        settings = self._settings.current
        return next_poll(
            settings.interval,
            failures,
            settings.max_backoff_interval,
            retry_after,
            self._clock.jitter(),
        )

    def _cause(self, exc: Exception) -> Cause:
        if self._deployment_log and self._deployment_log.is_told(exc):
            return Cause.DEPLOYMENT
        at_home = OSError | RootBusy | DeploymentError | EngineError
        return Cause.HOST if isinstance(exc, at_home) else Cause.REGISTRY

    def _succeeded(self) -> None:
        for cause in Cause:
            self._over(cause)

    def _over(self, cause: Cause) -> None:
        """Note that what failed for *cause* went well."""
        series = self.series.pop(cause, None)
        if series and cause is Cause.REGISTRY:
            log.info("Poll succeeded again", extra={"after": series.count})
        if self._deployment_log:
            self._deployment_log.poll_succeeded(cause.value)

    def _failed(self, exc: BaseException, cause: Cause) -> int:
        """Report the failure; return how many there were in a row, for that cause."""
        before = self.series.pop(cause, None)
        count = before.count + 1 if before else 1
        self.series[cause] = Series(count, summary(exc), detail_of(exc))
        if cause is Cause.DEPLOYMENT:
            # It was told, and the registry has answered.
            self._over(Cause.REGISTRY)
            return count
        self.failed += cause is Cause.REGISTRY
        if cause not in (Cause.FAULT, Cause.PLUGIN):  # told with where it came from
            told = {"error": detailed(exc), "row": count}
            if isinstance(exc, RemoteError) and exc.retry_after:
                told["retry_after"] = f"{exc.retry_after:.0f}s"
            log.error(cause.value, extra=told)
        if self._deployment_log:
            self._deployment_log.poll_failed(exc, cause.value)
        return count


JITTER = 0.1


def next_poll(
    interval: float,
    failures: int,
    longest: float,
    retry_after: float | None,
    random: float,
) -> float:
    """
    Seconds until the next poll.

    A tenth of the interval is jitter, so that hosts started together drift apart. From
    the second failure in a row the delay doubles up to *longest* (0: no back-off), half
    of what it adds being random. The delay is at least *retry_after*, which a remote
    requested. *random* runs from 0 to 1.
    """
    delay = interval * (1 - JITTER + 2 * JITTER * random)
    if failures >= 2 and longest > interval:
        grown = min(interval * 2.0 ** min(failures - 1, 32), longest)
        delay = interval + (grown - interval) * (0.5 + 0.5 * random)
    return max(delay, (retry_after or 0.0) + interval * JITTER * random)
