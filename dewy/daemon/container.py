"""Container mode: replicas of an image, behind the proxy."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import cast

from .. import boot, system, urls
from ..admin.handlers import Handlers
from ..agent import Agent
from ..config import Endpoint, Settings
from ..containers.application import Application, application_of
from ..containers.deployer import ContainerDeployer, is_of
from ..containers.engines.opening import Runtime, open_engine
from ..containers.image_store import ImageVerifier, Verify, find_image
from ..containers.lock import engine_lock
from ..containers.model import Engine
from ..containers.options.arguments import parse
from ..containers.replica import Replica
from ..containers.replica_set import ReplicaSet
from ..containers.running_version import deployed_meanwhile, identify
from ..containers.upstream import require_reach
from ..deploy.changes import Attempt
from ..deploy.state_store import StateStore
from ..notifiers import NoticeKind
from ..polling import Poller
from ..proxy import Port, Proxy
from ..proxy.backend import Probe
from ..proxy.listeners import option_named
from ..proxy.proxy import stop
from ..registries.img import repository_of
from ..reload import Reread
from ..remotes.oci.credentials import Credentials
from ..remotes.oci.login import credentials_for
from ..remotes.oci.reference import Reference
from .reload import ContainerReload
from .runtime import RunContext

__all__ = ["replicate"]

log = logging.getLogger(__name__)


async def replicate(context: RunContext, reread: Reread) -> Handlers:
    """
    Serve with the replicas an earlier dewy left, and maintain them from now on.

    Raises:
        ConfigError: an option, or the engine, does not allow what was requested.
        DewyError: a port cannot be opened.
    """
    settings, stack = context.settings, context.stack
    options = await asyncio.to_thread(
        parse, settings.run_options, os.environ, settings.root
    )
    engine = await stack.enter_async_context(
        open_engine(cast("Runtime", settings.runtime), os.environ)
    )
    require_reach(engine, settings.upstream)
    options.require_within(engine.limits)
    reference = Reference.of(urls.split(settings.registry))
    application = application_of(settings)
    held = engine_lock(engine.identity, application, settings.root)
    # First: a dewy refused by it leaves nothing in the root.
    await stack.enter_async_context(held)
    await context.take_root()

    async def credentials() -> Credentials | None:
        return await credentials_for(reference.host, os.environ)

    def renewed(attempt: Attempt, outcome: str, reason: str, detail: str) -> None:
        row = agent.deployment_log.reloaded(attempt, outcome, reason, detail)
        agent.follow_up.own(row, f"history of {attempt.id}")

    system.raise_descriptor_limit()
    state_store = await boot.load(settings, context.clock)
    await _finish_rollback(state_store, engine, application)
    proxy = _proxy(settings, lambda backend: replica_set.probe(backend))
    ports = await _open(proxy, context)
    replica_set = ReplicaSet.of(
        context.reloadable,
        engine,
        application,
        options,
        ports,
        state_store,
        credentials,
        context.progress,
        context.signals.hurry,
        told=lambda text: agent.deployment_log.tell(NoticeKind.ERROR, text),
        renewed=renewed,
        verify=_verify(context),
    )
    agent = await context.agent(
        state_store, replica_set.image_store, replica_set.deployer
    )
    await _adopt(context, state_store, replica_set.deployer)
    await stack.enter_async_context(proxy)
    await stack.enter_async_context(replica_set.exit_watcher)
    if engine.local and not engine.rootless:
        await stack.enter_async_context(replica_set.neighbor_keeper)
    stack.push_async_callback(_leave, replica_set, proxy, context)
    return await _keep(context, agent, replica_set, reread)


def _verify(context: RunContext) -> Verify | None:
    """Return the check of images before they are pulled, where there are keys."""
    if not (keys := context.outside.keys):
        return None
    asked = repository_of(urls.split(context.settings.registry))
    return ImageVerifier(keys, asked, context.outside.clients).verify


async def _adopt(
    context: RunContext, state_store: StateStore, deployer: ContainerDeployer
) -> None:
    """
    Let serve what an earlier dewy, or another program, left; note what that is.
    """
    await deployer.adopt(state_store.state.running)
    state, now = state_store.state, context.clock.wall()
    if state.running is None:
        first, keep = not state_store.found, context.settings.keep
        if found := await identify(deployer.store, now, first=first):
            await state_store.change(lambda state: state.deployed(found, keep))
    elif strange := await deployed_meanwhile(deployer.store, state, now):
        await boot.adopt_strange(context.settings, state_store, strange, context.clock)


async def _finish_rollback(
    state_store: StateStore, engine: Engine, application: Application
) -> None:
    """
    Finish the rollback of an operator in which dewy was killed, if it was in one.

    What serves does so until replicas of the version gone back to do.
    """
    state = state_store.state
    running = state.running
    entry = running and state.quarantine.find(running.tag, running.identity)
    if not entry or not entry.by:
        return
    missing = [
        each
        for each in state.candidates()
        if not await find_image(engine, application, each.identity)
    ]
    await state_store.note(lambda state: boot.finish_rollback(state, missing))


async def _keep(
    context: RunContext, agent: Agent, replica_set: ReplicaSet, reread: Reread
) -> Handlers:
    async def failed(
        replica: Replica, how: str, tail: tuple[str, ...], verb: str
    ) -> bool:
        running = agent.state.running
        if running is None or not is_of(replica, running):
            return False
        return await agent.judge(how, tail, verb)

    def troubled(text: str, over: bool) -> None:
        agent.deployment_log.tell(
            NoticeKind.IMPORTANT if over else NoticeKind.ERROR, text
        )

    reconciler = await context.stack.enter_async_context(
        replica_set.keep(failed, troubled, lambda: agent.probation.left is not None)
    )
    agent.probation.watch(reconciler.undecided)

    async def tick() -> None:
        # The version that ran is started from this host before the registry is asked.
        await reconciler.begun()
        well = False
        try:
            await agent.tick()
            well = True
        finally:
            reconciler.registry_answered(well=well)

    poller = Poller(tick, context.reloadable, context.clock, agent.deployment_log)
    reload = ContainerReload(reread, context.service, agent, poller, replica_set)
    context.stack.push_async_callback(reload.stop)
    context.signals.on_restart(reload.request)
    return Handlers(
        agent,
        poller,
        replica_set=replica_set,
        reload=reload.reload,
        preview=reload.preview,
    )


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


async def _open(proxy: Proxy, context: RunContext) -> list[Port]:
    """Open every requested port, on a passed socket where there is one."""
    offered = list(context.service.listeners())
    ports = []
    for mapping in context.settings.port_mappings:
        passed = sorted(offered, key=lambda each: -_fit(each, mapping.endpoint))
        passed = [each for each in passed if _fit(each, mapping.endpoint)]
        if passed:
            offered.remove(passed[0])
            with passed[0][1] as listener:
                ports.append(proxy.adopt(listener, own=False))
        else:
            with option_named("--port"):
                ports.append(await proxy.open(mapping.endpoint))
        told = {"proxy_port": mapping.proxy, "address": str(mapping.endpoint)}
        log.info("TCP proxy started", extra=told)
    log.info("All TCP proxies started successfully", extra={"count": len(ports)})
    for name, listener in offered:
        log.warning("Passed socket is not used", extra={"socket": name})
        listener.close()
    return ports


def _fit(offered: tuple[str, socket.socket], wanted: Endpoint) -> int:
    """
    Return how well a passed socket suits *wanted*; its bound address tells best.

    Where no address is wanted, any will do.
    """
    name, listener = offered
    bound = Endpoint.of(listener)
    suits = bound == wanted if wanted.host else bound.port == wanted.port
    return 2 if suits else int(name in (str(wanted), str(wanted.port)))


async def _leave(replica_set: ReplicaSet, proxy: Proxy, context: RunContext) -> None:
    await replica_set.leave()
    settings = context.settings
    timeouts = settings.drain_time if settings.on_exit == "leave" else 0.0
    await stop(proxy, timeouts, context.signals.hurry)
    await replica_set.table.stop()
