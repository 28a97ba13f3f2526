"""Beside the relaying of `dewy proxy`: control socket, checks, telemetry, HTTP API."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..admin.control import PROXY_LOCK, PROXY_SOCKET, ControlServer
from ..admin.proxy_status import proxy_status
from ..admin.verbs import VERBS, Request, Steering
from ..config import Endpoint, Settings
from ..containers.health import HealthCheck, HealthTracker
from ..deploy.deployer import Progress
from ..deploy.lock import lock
from ..errors import DewyError
from ..proxy import Backend, Proxy
from ..proxy.frontend import Frontend
from ..proxy.port import Pausing
from ..proxy.standalone import ProxyReload
from ..telemetry import load

if TYPE_CHECKING:
    from ..admin.http import Snapshot
    from ..telemetry.opening import Telemetry

__all__ = ["BackendHealth", "Measured", "beside", "checked"]

log = logging.getLogger(__name__)


@asynccontextmanager
async def beside(frontend: Frontend, reload: ProxyReload) -> AsyncIterator[None]:
    """Check the backends of *frontend* and answer commands while the block lasts."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(checked(frontend))
        await _take_orders(frontend, reload, stack)
        yield


async def _take_orders(
    frontend: Frontend, reload: ProxyReload, stack: AsyncExitStack
) -> None:
    """
    Open the control socket, on which relaying does not depend.

    It is not that of the root's dewy, beside which a proxy may run.
    """
    private = frontend.settings.private
    try:
        held = lock(private, PROXY_LOCK)
        await asyncio.to_thread(stack.enter_context, held)
        pausing = Pausing([frontend])
        stack.callback(pausing.leave)
        handler = _Handler(frontend, pausing, reload.reload, reload.preview)
        control = ControlServer(private / PROXY_SOCKET, handler)
        await stack.enter_async_context(control)
    except (DewyError, OSError) as exc:
        log.warning(
            "Control socket not opened: no command reaches this proxy; "
            "start it in a directory of its own",
            extra={"socket": str(private / PROXY_SOCKET), "error": exc},
        )


@dataclass(frozen=True, slots=True)
class _Handler:
    """The answers of a proxy on its control socket."""

    frontend: Frontend
    pausing: Pausing
    reload: Callable[[], Awaitable[str]]
    preview: Callable[[], Awaitable[str]]

    async def __call__(
        self, verb: str, args: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        known = VERBS.get(verb)
        if isinstance(known, Steering):
            return {"message": await known.steer(self, Request.of(args, progress))}
        if verb != "status":
            raise DewyError(f"dewy proxy deploys nothing, and does not know {verb}")
        return dict(await _snapshot(self.frontend)())


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
        known = before or HealthTracker(healthy=not problem)
        tracker = self._trackers[endpoint] = known.after(not problem, rise, fall)
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


class Measured:
    """
    The measuring of proxies as *settings* ask for, or not at all.

    Raises:
        ImplementationUnavailable: the extra `telemetry` is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._telemetry = load(settings)

    @asynccontextmanager
    async def __call__(self, frontend: Frontend) -> AsyncIterator[Callable[[], None]]:
        """
        Measure while the block lasts; yields what begins the last delivery.

        Raises:
            DewyError: the port that was chosen for the HTTP API can't be had.
        """
        leave: Callable[[], None] = lambda: None  # noqa: E731
        async with AsyncExitStack() as stack:
            if self._telemetry is not None:
                await self._measure(self._telemetry, frontend.proxy, stack)
                leave = partial(self._telemetry.leave, hurry=True)
            if self._telemetry is not None or self._settings.admin_port_chosen:
                await self._answer(frontend, stack)
            yield leave

    async def _measure(
        self, telemetry: Telemetry, proxy: Proxy, stack: AsyncExitStack
    ) -> None:
        from ..telemetry.points import MetricSource, build, proxied

        telemetry.watch([MetricSource(build), proxied(lambda: proxy.ports)])
        await stack.enter_async_context(telemetry)

    async def _answer(self, frontend: Frontend, stack: AsyncExitStack) -> None:
        """Show the proxy on a page, and what it counts, as other modes do."""
        from ..admin.http import AdminAPI, answering

        settings, telemetry, routes = self._settings, self._telemetry, {}
        if telemetry is not None:
            routes["/metrics"] = answering(telemetry.text, telemetry.content_type)
        api = AdminAPI(settings.admin_port, _snapshot(frontend), routes=routes)
        try:
            await stack.enter_async_context(api)
        except DewyError as exc:
            if settings.admin_port_chosen:
                raise
            log.warning("Admin API not started", extra={"error": str(exc)})


def _snapshot(frontend: Frontend) -> Snapshot:
    settings = frontend.settings
    name = settings.name or settings.root.name

    async def told() -> dict[str, Any]:
        return proxy_status(
            frontend.proxy.ports,
            name=name,
            root=str(settings.root),
            pid=os.getpid(),
            unresolved=frontend.unresolved(),
        )

    return told
