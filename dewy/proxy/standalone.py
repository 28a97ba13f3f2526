"""The proxy alone, until a signal ends it, and its reload: `dewy reload`, SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace

from .. import system
from ..config import Settings
from ..config.settings import options_of, reloadable
from ..errors import ConfigError
from ..reload import Reload, Reread, outcome
from ..signals import Signals
from ..systemd import Service
from .backend import Probe
from .frontend import Frontend
from .proxy import Proxy, stop

__all__ = [
    "READY",
    "ProxyReload",
    "Reread",
    "merged",
    "run",
]

log = logging.getLogger(__name__)

READY = "Relaying"
DRAINS = "the proxy is draining, and will exit"

TAKEN = reloadable("proxy")
"""Settings that may change while the proxy runs; the rest requires a restart."""

_WRITTEN = {each.setting: f"--{each.name}" for each in options_of("proxy")}


class ProxyReload(Reload):
    """Reload of the configuration of *frontend*."""

    def __init__(self, frontend: Frontend, service: Service, reread: Reread) -> None:
        super().__init__(reread, service, lambda: READY, DRAINS)
        self._frontend = frontend

    async def preview(self) -> str:
        """
        Return what `reload` would say; nothing changes.

        Raises:
            ConfigError: the configuration is invalid.
            DewyError: no backend can be looked up.
        """
        old = self._frontend.settings
        new, left = merged(old, await asyncio.to_thread(self._reread))
        await self._frontend.addresses(new)
        return outcome("would change", _names(old, new), left)

    async def take(self) -> str:
        old = self._frontend.settings
        read = await asyncio.to_thread(self._reread)
        new, left = merged(old, read)
        changed = _names(old, new)
        for caution in read.cautions:
            if caution not in old.cautions:
                log.warning("%s", caution)
        await self._frontend.apply(new)
        return outcome("changed", changed, left)


def merged(old: Settings, read: Settings) -> tuple[Settings, list[str]]:
    """
    Return *old* with the permitted changes of *read*, and the names of the others.

    Permissions of a socket's file that are not asked for any more stay until a restart:
    the umask's are those of a new file.
    """
    taken = {name: getattr(read, name) for name in TAKEN}
    new = replace(
        replace(old, **taken),
        socket_mode=old.socket_mode if read.socket_mode is None else read.socket_mode,
        socket_owner=read.socket_owner or old.socket_owner,
        cautions=read.cautions,
    )
    return new, _names(new, read)


def _names(one: Settings, other: Settings) -> list[str]:
    """Return the options in which both differ, as they are written."""
    return [
        written
        for name, written in _WRITTEN.items()
        if name and getattr(one, name) != getattr(other, name)
    ]


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
                signals.on_restart(reload.request)
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
