"""The proxy alone, with fixed backends, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from .. import system
from ..config import Endpoint, Settings
from ..errors import ConfigError
from ..signals import Signals
from ..systemd import Service
from .listeners import Offered, Permissions, taken
from .proxy import Proxy
from .stopping import stop

__all__ = ["run"]

log = logging.getLogger(__name__)


Leave = Callable[[], None]
Around = Callable[[Proxy], AbstractAsyncContextManager[Leave]]


def _alone(proxy: Proxy) -> AbstractAsyncContextManager[Leave]:
    return nullcontext(lambda: None)


async def run(settings: Settings, around: Around = _alone) -> int:
    """
    Relay until a signal says to stop; then drain. Return the exit status.

    It runs inside the context that *around* makes of the proxy; what that yields is
    called when the end begins.

    Raises:
        ConfigError: the settings and the service manager name nothing to listen at.

        DewyError: a port cannot be opened.
    """
    service = Service.from_environment(os.environ)
    offered = service.listeners()
    if not settings.listen and not offered:
        raise ConfigError("proxy needs a --listen, or a socket passed by systemd")
    system.raise_descriptor_limit()
    proxy = _proxy(settings)
    with Signals() as signals:
        try:
            # Before it is entered, so that waiting clients already find the backends.
            await _open(proxy, settings, offered)
            async with proxy, around(proxy) as leave:
                await _relay(proxy, settings.drain_time, service, signals, leave)
        finally:
            await proxy.stop(0.0)
    return 0


async def _relay(
    proxy: Proxy, drain_time: float, service: Service, signals: Signals, leave: Leave
) -> None:
    log.info("Proxy started", extra={"ports": len(proxy.ports)})
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(service.watch(), name="watchdog")
        service.ready("Relaying")
        await signals.stop.wait()
        log.info("Draining proxy", extra={"signal": signals.reason})
        service.stopping("Draining")
        leave()
        await stop(proxy, drain_time, signals.hurry)
        watching.cancel()


def _proxy(settings: Settings) -> Proxy:
    return Proxy(
        threads=settings.proxy_threads,
        idle_timeout=settings.proxy_idle_timeout,
        max_connections=settings.max_connections,
        balance=settings.balance,
        proxy_protocol=settings.proxy_protocol == "v2",
        log_connections=settings.log_connections,
    )


async def _open(proxy: Proxy, settings: Settings, offered: Offered) -> None:
    """Open every requested port, or else every socket that was passed."""
    permissions = Permissions(settings.socket_mode, settings.socket_owner)
    wanted = settings.listen or [Endpoint.of(sock) for _, sock in offered]
    for endpoint in wanted:
        port = await proxy.open(endpoint, offered, permissions=permissions)
        added = [port.add(each, serving=False) for each in settings.backends]
        port.serve(added)
    used = [found for each in wanted if (found := taken(each, offered))]
    for name, sock in offered:
        if (name, sock) not in used:
            log.warning("Passed socket is not used", extra={"socket": name})
        sock.close()
