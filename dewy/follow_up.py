"""
Follow-ups of a change of version: after-hook, report, cleaning up, notices.

A follow-up delays nothing. A version that has been replaced by the time is neither
reported nor announced, and its after-hook does not begin.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .config import Settings
from .deploy.changes import DONE, Attempt, Change, ChangeSlot
from .deploy.deployment_log import DeploymentLog
from .deploy.hooks import ROLLED_BACK, DeployHooks
from .deploy.release_store import ReleaseStore
from .deploy.state import Installed
from .deploy.state_store import StateStore
from .errors import DewyError, RemoteError, fault_of
from .histogram import Histogram
from .logs import summary
from .notifiers import NoticeKind
from .registries import Registry
from .release import Deployment, Release
from .system import hostname, utc

__all__ = ["FollowUp", "Tidier", "in_time"]

log = logging.getLogger(__name__)

T = TypeVar("T")

REGISTRY_DEADLINE = 120.0
"""Seconds that a registry may take for one answer."""

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds for which a registry may ask to be left alone before the next report."""


@asynccontextmanager
async def in_time(looks: Histogram) -> AsyncIterator[None]:
    """
    Give the registry a limited time to answer, which *looks* counts.

    Raises:
        DewyError: it did not.
    """
    begun = time.monotonic()
    try:
        async with asyncio.timeout(REGISTRY_DEADLINE):
            yield
    except TimeoutError:
        raise DewyError(f"no answer within {REGISTRY_DEADLINE:g} s") from None
    finally:
        looks.add(time.monotonic() - begun)


@dataclass(slots=True)
class Tidier:
    """Remover of releases that the state does not need, except those being deployed."""

    changes: ChangeSlot
    state_store: StateStore
    release_store: ReleaseStore
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tidy(self, change: Change | None = None, *, cached: bool) -> None:
        """
        Remove unneeded releases, unless a change other than *change* is under way,
        whose end removes them.

        *cached* is as in `ReleaseStore.retain`.
        """
        async with self._busy:
            if self.changes.current in (None, change):
                await self.release_store.retain(self.state_store.state, cached=cached)

    async def finished(self) -> None:
        """Return once nothing is being removed."""
        async with self._busy:
            pass


@dataclass(slots=True)
class FollowUp:
    """
    Runner of follow-ups, each in a task of its own.

    Attributes:
        announce: Tells the service manager in one line what runs.
    """

    settings: Settings
    state_store: StateStore
    registry: Registry
    deployment_log: DeploymentLog
    hooks: DeployHooks
    tidier: Tidier
    announce: Callable[[str], None]
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _attempts: list[Attempt] = field(default_factory=list)

    @property
    def current(self) -> Attempt | None:
        """The last of the changes that are still followed up."""
        return self._attempts[-1] if self._attempts else None

    def deployed(
        self,
        change: Change,
        target: Installed,
        release: Release,
        notice: Callable[[], str],
    ) -> None:
        """Follow up the deployment of *target*; *notice* is the text for people."""
        work = self._deployed(change, target, release, notice)
        self._spawn(work, change.attempt, f"after {target.name}")

    def went_back(self, attempt: Attempt, target: Installed) -> None:
        """Follow up the rollback to *target*, a kept release."""
        work = self._went_back(attempt, target)
        self._spawn(work, attempt, f"after going back to {target.name}")

    def own(self, work: Coroutine[None, None, T], name: str) -> asyncio.Task[T]:
        """Run *work* in a task that outlives its waiters, and return the task."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_noticed)
        return task

    async def finished(self) -> None:
        """Return once no follow-up is running."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Cancel the remaining follow-ups and wait for them; idempotent."""
        for task in self._tasks:
            task.cancel()
        await self.finished()

    async def _deployed(
        self,
        change: Change,
        target: Installed,
        release: Release,
        notice: Callable[[], str],
    ) -> None:
        attempt = change.attempt
        with _missed(attempt):
            attempt.mark("after-hook")
            await self.hooks.after(attempt, target, runs=self._runs)
            if self._runs(target):
                attempt.mark("report")
                await self._report(release)
            if self._runs(target):
                attempt.mark("clean-up")
                await self.tidier.tidy(change, cached=True)
        if self._runs(target):
            self.announce(f"{target.name} runs")
            attempt.reach(DONE)
            self.deployment_log.tell(
                NoticeKind.IMPORTANT, f"{notice()} for {attempt.target}"
            )
        else:
            log.warning("Deployment was superseded", extra=attempt.log_fields())
        self.deployment_log.end(attempt)

    async def _went_back(self, attempt: Attempt, target: Installed) -> None:
        with _missed(attempt):
            attempt.mark("after-hook")
            await self.hooks.after(attempt, target, ROLLED_BACK, runs=self._runs)
            if self._runs(target) and target.tag:
                attempt.mark("report")
                await self._report_tag(target.tag)
        self.deployment_log.end(attempt)

    def _runs(self, target: Installed) -> bool:
        return self.state_store.state.running == target

    async def _report(self, release: Release) -> None:
        now = time.time_ns()
        at, nanoseconds = utc(now // 10**9), now % 10**9
        command = self.settings.command
        deployment = Deployment(release, command, at, nanoseconds, hostname())
        try:
            async with asyncio.timeout(REGISTRY_DEADLINE):
                await self._report_in_time(deployment)
        except Exception as exc:  # noqa: BLE001 - a plugin's, too, holds nothing up
            log.warning("Deployment not reported", extra={"error": summary(exc)})

    async def _report_in_time(self, deployment: Deployment) -> None:
        """Report *deployment*, again where the registry says when to come back."""
        while True:
            try:
                return await self.registry.report(deployment)
            except RemoteError as exc:
                if exc.retry_after is None or exc.retry_after > LONGEST_PAUSE:
                    raise
                await asyncio.sleep(max(exc.retry_after, SHORTEST_PAUSE))

    async def _report_tag(self, tag: str) -> None:
        try:
            async with asyncio.timeout(REGISTRY_DEADLINE):
                release = await self.registry.current(tag)
        except (DewyError, OSError) as exc:
            log.warning("Rollback not reported", extra={"error": summary(exc)})
            return
        await self._report(release)

    def _spawn(
        self, work: Coroutine[None, None, None], attempt: Attempt, name: str
    ) -> None:
        task = asyncio.create_task(_logged(work), name=name)
        self._tasks.add(task)
        self._attempts.append(attempt)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._attempts.remove(attempt))
        # Cancelled before it began, it would be complained of as never awaited.
        task.add_done_callback(lambda _: work.close())


@contextmanager
def _missed(attempt: Attempt) -> Iterator[None]:
    """Log that what follows is cut short: no later dewy takes it up."""
    try:
        yield
    except asyncio.CancelledError:
        log.warning("Follow-up was cut short", extra=attempt.log_fields())
        raise


def _noticed(task: asyncio.Task[Any]) -> None:
    """Ask for the exception, or the loop complains that nobody did."""
    if not task.cancelled():
        task.exception()


async def _logged(work: Awaitable[None]) -> None:
    try:
        await work
    except Exception as exc:
        # The deployment has succeeded: no caller is left to take the error.
        log.exception("Follow-up of a deployment ran into %s", fault_of(exc))
