"""Container mode: replicas of an image, behind the proxy."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import cast

from .. import boot, system, urls
from ..admin.online import Online
from ..agent import Agent
from ..config import Endpoint, Settings
from ..config.names import app_name
from ..containers.application import Application
from ..containers.crew import Crew
from ..containers.deployer import is_of
from ..containers.engines.opening import Runtime, open_engine
from ..containers.lock import directory, engine_lock
from ..containers.options.arguments import parse
from ..containers.replica import Replica
from ..containers.upstream import require_reach
from ..notifiers import Kind
from ..polling import Poller
from ..proxy import Port, Proxy
from ..proxy.backend import Probe
from ..proxy.stopping import stop
from ..remotes.oci.credentials import Credentials
from ..remotes.oci.login import credentials_for
from ..remotes.oci.reference import Reference
from .ground import Ground
from .reload import Reload, Reread

__all__ = ["replicate"]

log = logging.getLogger(__name__)


async def replicate(ground: Ground, reread: Reread) -> Online:
    """
    Serve with what an earlier dewy left, and keep it up from now on.

    Raises:
        ConfigError: an option, or the engine, cannot be as it was asked for.
        DewyError: a port can't be listened at.
    """
    settings, stack = ground.settings, ground.stack
    options = await asyncio.to_thread(
        parse, settings.run_options, os.environ, settings.root
    )
    engine = await stack.enter_async_context(
        open_engine(cast("Runtime", settings.runtime), os.environ)
    )
    require_reach(engine, settings.upstream)
    reference = Reference.of(urls.split(settings.registry))
    name = app_name(settings.registry, settings.name)
    application = Application(name, str(reference), named=bool(settings.name))
    place = directory(os.environ, os.getuid())
    held = engine_lock(place, engine.address, application)
    # First: who is refused by it leaves nothing in the root.
    await asyncio.to_thread(stack.enter_context, held)
    await ground.take_root()

    async def credentials() -> Credentials | None:
        return await credentials_for(reference.host, os.environ)

    system.raise_descriptor_limit()
    ledger = await boot.load(settings, ground.clock)
    proxy = _proxy(settings, lambda backend: crew.probe(backend))
    ports = await _open(proxy, ground)
    crew = Crew.of(
        settings,
        engine,
        application,
        options,
        ports,
        ledger,
        credentials,
        ground.progress,
        ground.signals.hurry,
    )
    agent = await ground.agent(ledger, crew.supply, crew.deployer)
    await crew.deployer.adopt(ledger.state.running)
    if ledger.state.running is None:
        found = await crew.deployer.identify(ground.clock.wall())
        if found is not None:
            await ledger.change(lambda state: state.deployed(found, settings.keep))
    await stack.enter_async_context(proxy)
    await stack.enter_async_context(crew.vigil)
    stack.push_async_callback(_leave, crew, proxy, ground)
    return await _keep(ground, agent, crew, reread)


async def _keep(ground: Ground, agent: Agent, crew: Crew, reread: Reread) -> Online:
    async def died(replica: Replica, how: str, tail: tuple[str, ...]) -> bool:
        running = agent.state.running
        if running is None or not is_of(replica, running):
            return False
        moved = await agent.trial.verdict(how, tail, crew.deployer.put_back)
        agent.announce(agent.describe())
        return moved

    def troubled(problem: str) -> None:
        if problem:
            agent.chronicle.tell(Kind.ERROR, f"Replicas are missing: {problem}")
        else:
            agent.chronicle.tell(Kind.IMPORTANT, "All replicas serve again")

    keeper = await ground.stack.enter_async_context(crew.keep(died, troubled))

    async def tick() -> None:
        # What ran is started from this host before the registry is asked.
        await keeper.begun()
        try:
            await agent.tick()
        finally:
            keeper.registry_answered()

    poller = Poller(tick, ground.settings, ground.clock, agent.chronicle)
    reload = Reload(reread, ground.service, agent, poller, crew)
    ground.stack.push_async_callback(reload.stop)
    ground.signals.restart = reload.request
    return Online(agent, poller, crew=crew, reload=reload.reload)


def _proxy(settings: Settings, probe: Probe) -> Proxy:
    return Proxy(
        threads=settings.proxy_threads,
        idle_timeout=settings.proxy_idle_timeout,
        max_connections=settings.max_connections,
        balance=settings.balance,
        proxy_protocol=settings.proxy_protocol == "v2",
        probe=probe,
        backend_wait=settings.backend_wait,
        log_connections=settings.log_connections,
    )


async def _open(proxy: Proxy, ground: Ground) -> list[Port]:
    """Every port that was asked for, on a socket that was passed where there is one."""
    offered = list(ground.service.listeners())
    ports = []
    for mapping in ground.settings.port_mappings:
        passed = sorted(offered, key=lambda each: -_fit(each, mapping.proxy))
        passed = [each for each in passed if _fit(each, mapping.proxy)]
        if passed:
            offered.remove(passed[0])
            with passed[0][1] as listener:
                ports.append(proxy.adopt(listener, own=False))
        else:
            ports.append(await proxy.open(Endpoint(port=mapping.proxy)))
        log.info("TCP proxy started", extra={"proxy_port": mapping.proxy})
    for name, listener in offered:
        log.warning("Passed socket is not used", extra={"socket": name})
        listener.close()
    return ports


def _fit(offered: tuple[str, socket.socket], port: int) -> int:
    """How well a passed socket suits *port*; what it is bound to tells best."""
    name, listener = offered
    return 2 if Endpoint.of(listener).port == port else int(name == str(port))


async def _leave(crew: Crew, proxy: Proxy, ground: Ground) -> None:
    await crew.leave()
    settings = ground.settings
    patience = settings.drain_time if settings.on_exit == "leave" else 0.0
    await stop(proxy, patience, ground.signals.hurry)
    await crew.table.stop()
