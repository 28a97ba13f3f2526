"""Watch for a newer release while one is deployed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from .deploy.candidates import Found
from .deploy.changes import Cancelled, Change, ChangeSlot
from .deploy.plan import Action, is_same
from .deploy.state import Installed
from .errors import DewyError, RemoteError
from .logs import summary
from .release import Release

__all__ = ["ReleaseWatch"]

log = logging.getLogger(__name__)

LEAST_START = 60.0
"""Minimum number of seconds that a start has before it may give way."""


class ReleaseWatch:
    """
    Watch that cancels the deployment of a release in favour of a newer one.

    A fetch is cancelled at once. A start is cancelled once it has lasted a minute, and
    only one until a deployment succeeds: otherwise releases that come faster than they
    start would keep each other from running.

    Args:
        interval: Returns the seconds between two polls.

        find: Polls the registry, and decides.
    """

    def __init__(
        self,
        interval: Callable[[], float],
        changes: ChangeSlot,
        find: Callable[[], Awaitable[Found]],
    ) -> None:
        self._interval = interval
        self._changes = changes
        self._find = find
        self._start_gave_way = False
        self._stay_away = 0.0

    async def superseded(
        self, release: Release, deploying: Coroutine[Any, Any, None]
    ) -> bool:
        """
        Await *deploying*, which deploys *release*; return whether a newer release
        superseded it.

        Raises:
            Exception: the deployment failed, or was cancelled for another reason.
        """
        watching = asyncio.create_task(
            self._watch(release), name=f"watch for releases after {release.tag}"
        )
        try:
            await deploying
        except Cancelled:
            if not _succeeded(watching):
                raise
            return True
        finally:
            watching.cancel()
            await asyncio.wait({watching})
        self._start_gave_way = False
        return False

    async def _watch(self, release: Release) -> None:
        """Return once the deployment of *release* was cancelled for a newer one."""
        while True:
            await asyncio.sleep(max(self._interval(), self._stay_away))
            self._stay_away = 0.0
            try:
                if await self._cancelled(release):
                    return
            except (DewyError, OSError) as exc:
                asked = exc.retry_after if isinstance(exc, RemoteError) else None
                self._stay_away = asked or 0.0
                log.debug("Registry not asked", extra={"error": summary(exc)})
            except Exception:
                # An internal fault must not end the watch.
                log.exception("Watch for a newer release ran into a fault")

    async def _cancelled(self, release: Release) -> bool:
        """Return whether the deployment of *release* was cancelled for a newer one."""
        change = self._changes.pending
        if change is None or change.release is not release:
            return False
        if not self._gives_way(change):
            return False
        # It may have gone on while the registry was asked.
        if not (tag := await self._newer(release)) or not self._gives_way(change):
            return False
        self._start_gave_way |= change.attempt.step == "start"
        change.cancel(f"superseded by {tag}")
        return bool(change.cancelled)

    def _gives_way(self, change: Change) -> bool:
        """Return whether *change* may be cancelled for a newer release."""
        step, since = change.attempt.marks[-1] if change.attempt.marks else ("", 0.0)
        if step != "start":
            return step == "fetch"
        return time.monotonic() - since >= LEAST_START and not self._start_gave_way

    async def _newer(self, release: Release) -> str:
        """Return the version that is to be deployed rather than *release*, or ""."""
        found = await self._find()
        own, newest = Installed(release.tag, release.identity, "", 0.0), found.release
        if newest is None or is_same(own, newest):
            return ""
        return newest.tag if found.decision.action is Action.DEPLOY else ""


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
