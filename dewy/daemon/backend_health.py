"""Active health checks of the backends of the proxy alone."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from ..config import Endpoint, Settings
from ..containers.health import HealthCheck, HealthTracker
from ..proxy import Backend
from ..proxy.frontend import Frontend

__all__ = ["BackendHealth", "checked"]

log = logging.getLogger(__name__)


@asynccontextmanager
async def checked(frontend: Frontend) -> AsyncIterator[None]:
    """Check the backends of *frontend* while the block lasts, if it is asked for."""
    task = asyncio.create_task(BackendHealth(frontend).run(), name="backend checks")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


class BackendHealth:
    """
    Health of the backends, each of which is checked once for all ports.

    An unhealthy one gets connections only while no other is left.
    """

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend
        self._trackers: dict[Endpoint, HealthTracker] = {}

    async def run(self) -> None:
        """Check all of them, at once when they change and from time to time."""
        while True:
            self._frontend.changed.clear()
            settings = self._frontend.settings
            if settings.health_path:
                await self._look_on()
            else:
                self._forget()
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.health_interval):
                    await self._frontend.changed.wait()

    async def _look_on(self) -> None:
        try:
            await self.look()
        except Exception:
            # An internal fault must not end the checks.
            log.exception("Check of backends ran into a fault of dewy")

    async def look(self) -> None:
        """Check each backend once, and act on the verdicts."""
        backends: dict[Endpoint, list[Backend]] = defaultdict(list)
        for pool in self._frontend.pools.values():
            for backend in pool.port.serving:
                backends[backend.endpoint].append(backend)
        check = _check(self._frontend.settings)
        results = await asyncio.gather(*(check.ask([each]) for each in backends))
        known = self._trackers
        self._trackers = {}
        for (endpoint, same), result in zip(backends.items(), results, strict=True):
            if not result.unasked:
                self._judge(endpoint, known.get(endpoint), same, result.problem)
            elif endpoint in known:
                self._trackers[endpoint] = known[endpoint]

    def _judge(
        self,
        endpoint: Endpoint,
        before: HealthTracker | None,
        backends: Sequence[Backend],
        problem: str,
    ) -> None:
        settings = self._frontend.settings
        rise, fall = settings.health_rise, settings.health_fall
        # The first check decides alone: there is nothing to contradict.
        known = before or HealthTracker(rise, fall, healthy=not problem)
        tracker = self._trackers[endpoint] = known.after(not problem)
        if (before is None and problem) or (known.healthy and not tracker.healthy):
            told = {"backend": str(endpoint), "problem": problem}
            log.warning("Backend unhealthy", extra=told)
        elif not known.healthy and tracker.healthy:
            log.info("Backend healthy", extra={"backend": str(endpoint)})
        if tracker.healthy:
            self._frontend.unhealthy.discard(endpoint)
        else:
            self._frontend.unhealthy.add(endpoint)
        for backend in backends:
            if not tracker.healthy:
                backend.eject()
            elif not problem:
                backend.restore()

    def _forget(self) -> None:
        """Let all of them serve again, as nothing is asked of them any more."""
        for pool in self._frontend.pools.values():
            for backend in pool.port.serving:
                if backend.endpoint in self._frontend.unhealthy:
                    backend.restore()
        self._frontend.unhealthy.clear()
        self._trackers.clear()


def _check(settings: Settings) -> HealthCheck:
    return HealthCheck(
        path=settings.health_path,
        proxy_protocol=settings.proxy_protocol == "v2",
        host=settings.health_host,
    )
