"""The proxy alone, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from .. import system
from ..config import Settings
from ..errors import ConfigError
from ..signals import Signals
from ..systemd import Service
from .backend import Probe
from .frontend import Frontend
from .proxy import Proxy
from .reload import READY, ProxyReload, Reread
from .stopping import stop

__all__ = ["run"]

log = logging.getLogger(__name__)


Leave = Callable[[], None]
Around = Callable[[Frontend], AbstractAsyncContextManager[Leave]]
Beside = Callable[[Frontend, ProxyReload], AbstractAsyncContextManager[None]]


def _alone(frontend: Frontend) -> AbstractAsyncContextManager[Leave]:
    return nullcontext(lambda: None)


def _nothing(
    frontend: Frontend, reload: ProxyReload
) -> AbstractAsyncContextManager[None]:
    return nullcontext()


async def run(
    settings: Settings,
    around: Around = _alone,
    reread: Reread | None = None,
    beside: Beside = _nothing,
) -> int:
    """
    Relay until a signal says to stop; then drain. Return the exit status.

    It runs inside the contexts that *around* and *beside* make of its frontend; what
    the former yields is called when the end begins. *reread* returns
    the present settings, for SIGHUP.

    Raises:
        ConfigError: the settings and the service manager name nothing to listen at.

        DewyError: a port cannot be opened.
    """
    service = Service.from_environment(os.environ)
    offered = service.listeners()
    if not settings.listen and not offered:
        raise ConfigError("proxy needs a --listen, or a socket passed by systemd")
    system.raise_descriptor_limit()
    proxy = _proxy(settings, lambda backend: frontend.probe(backend))
    frontend = Frontend(proxy, settings)
    reload = ProxyReload(frontend, service, reread or (lambda: settings))
    with Signals() as signals:
        try:
            # Before it is entered, so that waiting clients already find the backends.
            await frontend.open(offered)
            async with proxy, around(frontend) as leave, beside(frontend, reload):
                signals.restart = reload.request
                await _relay(frontend, service, signals)
                await reload.stop()
                leave()
                await _drain(frontend, service, signals)
        finally:
            await reload.stop()
            await frontend.stop()
            await proxy.stop(0.0)
    return 0


async def _relay(frontend: Frontend, service: Service, signals: Signals) -> None:
    log.info("Proxy started", extra={"ports": len(frontend.proxy.ports)})
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(frontend.keep_resolving(), name="host names")
        watching = tasks.create_task(service.watch(), name="watchdog")
        service.ready(READY)
        await signals.stop.wait()
        looking.cancel()
        watching.cancel()


async def _drain(frontend: Frontend, service: Service, signals: Signals) -> None:
    log.info("Draining proxy", extra={"signal": signals.reason})
    service.stopping("Draining")
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(service.watch(), name="watchdog")
        await stop(frontend.proxy, frontend.settings.drain_time, signals.hurry)
        watching.cancel()


def _proxy(settings: Settings, probe: Probe) -> Proxy:
    return Proxy(
        threads=settings.proxy_threads,
        idle_timeout=settings.proxy_idle_timeout,
        max_connections=settings.max_connections,
        balance=settings.balance,
        proxy_protocol=settings.proxy_protocol == "v2",
        log_connections=settings.log_connections,
        probe=probe,
    )
