"""Telemetry and HTTP API of the proxy alone, which deploys nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ..config import Settings
from ..errors import DewyError
from ..proxy import Proxy
from ..proxy.frontend import Frontend
from ..telemetry.loading import load

if TYPE_CHECKING:
    from ..admin.http import Snapshot
    from ..telemetry.opening import Telemetry

__all__ = ["Measured"]

log = logging.getLogger(__name__)


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
        from ..telemetry.build import build
        from ..telemetry.points import MetricSource
        from ..telemetry.proxied import proxied

        telemetry.watch([MetricSource(build), proxied(lambda: proxy.ports)])
        await stack.enter_async_context(telemetry)

    async def _answer(self, frontend: Frontend, stack: AsyncExitStack) -> None:
        """Show the proxy on a page, and what it counts, as other modes do."""
        from ..admin.http import AdminAPI
        from ..admin.metrics import answering

        settings, telemetry, routes = self._settings, self._telemetry, {}
        if telemetry is not None:
            routes["/metrics"] = answering(telemetry.text, telemetry.content_type)
        api = AdminAPI(
            settings.admin_port, _snapshot(settings, frontend), routes=routes
        )
        try:
            await stack.enter_async_context(api)
        except DewyError as exc:
            if settings.admin_port_chosen:
                raise
            log.warning("Admin API not started", extra={"error": str(exc)})


def _snapshot(settings: Settings, frontend: Frontend) -> Snapshot:
    from ..admin.proxy_status import proxy_status

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
