"""The run of `dewy proxy` until a signal ends it, and its reload."""

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

RELOADABLE = reloadable("proxy")
"""Settings that may change while the proxy runs; the others require a restart."""

_FLAGS = {each.setting: f"--{each.name}" for each in options_of("proxy")}


class ProxyReload(Reload):
    """Reload of the configuration of *frontend*."""

    def __init__(self, frontend: Frontend, service: Service, reread: Reread) -> None:
        super().__init__(reread, service, lambda: READY, DRAINS)
        self._frontend = frontend

    async def preview(self) -> str:
        """
        Return what a reload would change, without doing it.

        Raises:
            ConfigError: the configuration is invalid.
            DewyError: no backend can be looked up.
        """
        old = self._frontend.settings
        new, deferred = merged(old, await asyncio.to_thread(self._reread))
        await self._frontend.addresses(new)
        return outcome("would change", _changed_flags(old, new), deferred)

    async def take(self) -> str:
        old = self._frontend.settings
        read = await asyncio.to_thread(self._reread)
        new, deferred = merged(old, read)
        changed = _changed_flags(old, new)
        for caution in read.cautions:
            if caution not in old.cautions:
                log.warning("%s", caution)
        await self._frontend.apply(new)
        return outcome("changed", changed, deferred)


def merged(old: Settings, read: Settings) -> tuple[Settings, list[str]]:
    """
    Return *old* with the changes in *read* that need no restart, and the names of the
    options that do.

    Permissions of a socket's file that are no longer set stay until a restart: those
    of the umask come only with a new file.
    """
    changes = {name: getattr(read, name) for name in RELOADABLE}
    new = replace(
        replace(old, **changes),
        socket_mode=old.socket_mode if read.socket_mode is None else read.socket_mode,
        socket_owner=read.socket_owner or old.socket_owner,
        cautions=read.cautions,
    )
    return new, _changed_flags(new, read)


def _changed_flags(old: Settings, new: Settings) -> list[str]:
    return [
        flag
        for name, flag in _FLAGS.items()
        if name and getattr(old, name) != getattr(new, name)
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
    Relay until a signal asks to stop, then drain; return the exit status.

    Args:
        around: Makes the outer context of the run; the function that it yields is
            called before draining.

        reread: Returns the settings as configured now, for a reload; by default
            *settings*.

        beside: Makes the inner context of the run.

    Raises:
        ConfigError: neither the settings nor the service manager name an address, or a
            user or group of --socket-owner does not exist.
        DewyError: a port cannot be opened, or no backend can be looked up.
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
            # Before the proxy relays, so that waiting clients find backends.
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
        resolving = tasks.create_task(frontend.keep_resolving(), name="host names")
        watchdog = tasks.create_task(service.watch(), name="watchdog")
        service.ready(READY)
        await signals.stop.wait()
        resolving.cancel()
        watchdog.cancel()


async def _drain(frontend: Frontend, service: Service, signals: Signals) -> None:
    log.info("Draining proxy", extra={"signal": signals.reason})
    service.stopping("Draining")
    async with asyncio.TaskGroup() as tasks:
        watchdog = tasks.create_task(service.watch(), name="watchdog")
        await stop(frontend.proxy, frontend.settings.drain_time, signals.hurry)
        watchdog.cancel()


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
