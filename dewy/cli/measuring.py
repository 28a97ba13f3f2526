"""Telemetry of the proxy alone, which has no root and nothing else to tell."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from ..config import Settings
from ..errors import DewyError
from ..proxy import Proxy
from ..telemetry.loading import load

if TYPE_CHECKING:
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
    async def __call__(self, proxy: Proxy) -> AsyncIterator[Callable[[], None]]:
        """
        Measure while the block lasts; yields what begins the last delivery.

        Raises:
            DewyError: the port that was chosen for the HTTP API can't be had.
        """
        if self._telemetry is None:
            yield lambda: None
            return
        from ..telemetry.build import build
        from ..telemetry.points import Source
        from ..telemetry.proxied import proxied

        self._telemetry.watch([Source(build), proxied(lambda: proxy.ports)])
        async with self._telemetry, self._answering(self._telemetry):
            yield partial(self._telemetry.leave, hurry=True)

    @asynccontextmanager
    async def _answering(self, telemetry: Telemetry) -> AsyncIterator[None]:
        from ..admin.http import AdminAPI
        from ..admin.metrics import answering

        routes = {"/metrics": answering(telemetry.text, telemetry.content_type)}
        # A proxy deploys nothing, and so has no status.
        api = AdminAPI(self._settings.admin_port, None, routes=routes)
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(api)
            except DewyError as exc:
                if self._settings.admin_port_chosen:
                    raise
                log.warning("Admin API not started", extra={"error": str(exc)})
            yield
