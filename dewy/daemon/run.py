"""The run of one root, from the first check to the end."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from typing import Any

from .. import __version__
from ..admin.control import SOCKET, ControlServer
from ..admin.handlers import Handlers
from ..admin.http import AdminAPI, answering
from ..admin.recent_history import RecentHistory
from ..admin.verbs import VERBS, Operation
from ..agent import Agent
from ..config import Reloadable, Settings
from ..deploy.deployer import AssetsDeployer, Progress
from ..deploy.lock import STOPPING, UNREACHABLE, RootLock
from ..deploy.plan import is_met, quarantined
from ..errors import DewyError
from ..notifiers import NoticeKind
from ..polling import Poller, Tick
from ..reload import Reread, pending
from ..signals import Signals
from ..supervisor.policy import Policy
from ..system import Clock
from ..systemd import Service
from ..telemetry import load
from .assets import unpacking
from .inspection import RootGuard, inspecting, keep_link
from .runtime import RunContext, opened
from .server import supervise
from .shutdown import MARGIN, LastResort, ended

__all__ = ["run"]

log = logging.getLogger(__name__)

SETTLING = 300.0
"""Seconds for which `--once` waits for a release that is being published."""

WHILE_STOPPING = {"status", "why", "logs", "containers"} | {
    verb.name
    for verb in VERBS.values()
    if isinstance(verb, Operation) and verb.at_any_time
}
"""Requests that are answered while dewy stops."""


async def run(
    settings: Settings,
    reread: Reread | None = None,
    last_resort: LastResort | None = None,
) -> int:
    """
    Keep one root until a signal ends it; return the exit status.

    *reread* returns the current settings, for `dewy reload`; *last_resort* ends a stop
    that takes too long.

    Raises:
        ConfigError: a setting is invalid; nothing was started.
        RootBusy: the root belongs to another dewy.
        DewyError, OSError: dewy could not start.
    """
    service = Service.from_environment(os.environ)
    with Signals() as signals, last_resort or LastResort() as last_resort:
        keeping = asyncio.create_task(
            _keep(settings, reread or (lambda: settings), service, signals), name="keep"
        )
        stopping = asyncio.create_task(signals.stop.wait(), name="stop signal")
        await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not keeping.done():
            log.info("Stopping", extra={"signal": signals.reason})
            service.stopping(f"Stopping on {signals.reason}")
            service.extend(settings.shutdown_timeout + 2 * MARGIN)
            keeping.cancel()
            signals.obeyed.set()
            await ended(keeping, settings, signals, last_resort)
        await asyncio.wait({keeping, stopping})
        status = 0 if keeping.cancelled() else keeping.result()
        log.info("Dewy stopped")
        return status


async def _keep(
    settings: Settings, reread: Reread, service: Service, signals: Signals
) -> int:
    """Assemble everything, then poll until cancelled, or once with `--once`."""
    # From the inside out: what serves; then the control socket, which answers until
    # that has ended, and the root; last what only tells, in no successor's way.
    async with (
        AsyncExitStack() as last,
        AsyncExitStack() as outer,
        AsyncExitStack() as stack,
    ):
        telemetry = await asyncio.to_thread(load, settings)
        outside = await opened(last, settings)
        context = RunContext(
            Reloadable(settings),
            stack,
            service,
            signals,
            outside,
            Clock(),
            outer=outer,
            last=last,
            telemetry=telemetry,
        )
        try:
            if settings.command == "container":
                from .container import replicate

                handlers = await replicate(context, reread)
            else:
                handlers = await _unpack(context, reread)
            return await _serve(context, handlers)
        finally:
            context.leave()


async def _unpack(context: RunContext, reread: Reread) -> Handlers:
    settings, signals = context.settings, context.signals
    policy = Policy.of(settings, os.environ) if settings.command == "server" else None
    await context.take_root()
    unpacked = await unpacking(context)
    generations = None
    if policy:
        agent, generations = await supervise(context, unpacked, policy)
    else:
        agent = await context.agent(
            unpacked.state_store,
            unpacked.release_store,
            AssetsDeployer(unpacked.releases),
        )
        looking = inspecting(keep_link(agent.state_store, unpacked.releases))
        await context.stack.enter_async_context(looking)
    poller = Poller(agent.tick, context.reloadable, context.clock, agent.deployment_log)
    if generations is None:
        signals.on_restart(poller.wake)

    async def restart() -> str:
        signals.restart()
        told = "a new generation is starting" if generations else "polling now"
        return told + await pending(settings, reread)

    async def preview() -> str:
        told = "would start a new generation" if generations else "would poll"
        return told + await pending(settings, reread)

    return Handlers(agent, poller, generations, reload=restart, preview=preview)


async def _serve(context: RunContext, handlers: Handlers) -> int:
    settings, agent, poller = context.settings, handlers.agent, handlers.poller
    # An operator's change ends before what it works on.
    context.stack.push_async_callback(agent.changes.stop)
    control = await take_orders(context, handlers)
    prepare: Tick | None = None
    if context.lock:
        await _tell_phases(context, context.lock, control)
        prepare = RootGuard(context.lock, agent.state_store, control).restore
    await _measure(context, handlers)
    await _answer_locally(context, handlers)
    # Commands act from here on: a program that never gets ready can be left.
    context.beside(_tell_ready(context, agent), "readiness")
    await context.may_poll()
    deployment_log, signals = agent.deployment_log, context.signals
    deployment_log.tell(
        NoticeKind.ORDINARY, f"dewy {__version__} keeps {settings.root}"
    )
    try:
        return await _poll(agent, poller, signals.obeyed, prepare)
    finally:
        deployment_log.tell(
            NoticeKind.ORDINARY, f"Stopping ({signals.reason or 'done'})"
        )


async def _tell_ready(context: RunContext, agent: Agent) -> None:
    """Tell the service manager once the program serves, or did not start."""
    await context.begun()
    context.service.ready(agent.describe())


async def take_orders(context: RunContext, handlers: Handlers) -> ControlServer:
    """Open the control socket, on which serving does not depend."""
    socket, signals = context.settings.private / SOCKET, context.signals

    async def handle(
        verb: str, args: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        if not signals.stop.is_set():
            return await handlers.handle(verb, args, progress)
        stopping = f"dewy is stopping on {signals.reason}"
        if verb not in WHILE_STOPPING:
            raise DewyError(f"{stopping}; try again once it has ended")
        told = await handlers.handle(verb, args, progress)
        if verb == "status":
            told |= {"healthy": False, "degraded": [stopping, *told["degraded"]]}
        return told

    control = ControlServer(socket, handle)
    context.outer.push_async_exit(control)
    try:
        await control.__aenter__()
    except (DewyError, OSError) as exc:
        log.error(
            "Control socket not opened: no command reaches this dewy",
            extra={"socket": str(socket), "error": exc},
        )
    return control


async def _tell_phases(
    context: RunContext, lock: RootLock, control: ControlServer
) -> None:
    """Write down whether commands are answered, and later that they are no more."""
    await asyncio.to_thread(lock.tell, "" if control.listens else UNREACHABLE)
    context.outer.push_async_callback(asyncio.to_thread, lock.tell, STOPPING)


async def _measure(context: RunContext, handlers: Handlers) -> None:
    telemetry = context.telemetry
    if telemetry is not None:
        # Everything that comes with it is loaded by now.
        from .measuring import measure

        measure(telemetry, handlers, context.progress)
        await context.last.enter_async_context(telemetry)
        context.leaving.append(lambda hurry: telemetry.leave(hurry=hurry))


async def _answer_locally(context: RunContext, handlers: Handlers) -> None:
    """Open the HTTP API; a failure is fatal only where its port was chosen."""
    settings, telemetry = context.settings, context.telemetry
    routes = {}
    if telemetry is not None:
        routes["/metrics"] = answering(telemetry.text, telemetry.content_type)
    past = RecentHistory(settings.private)
    api = AdminAPI(
        settings.admin_port,
        handlers.status,
        handlers.containers,
        past.read,
        routes=routes,
    )
    try:
        await context.last.enter_async_context(api)
        context.leaving.append(lambda hurry: api.leave())
        handlers.listens(api.port)
    except DewyError as exc:
        if settings.admin_port_chosen:
            raise
        log.warning("Admin API not started", extra={"error": str(exc)})


async def _poll(
    agent: Agent, poller: Poller, over: asyncio.Event, prepare: Tick | None
) -> int:
    if agent.settings.once:
        await _poll_once(agent, poller, prepare)
        await agent.follow_up.finished()
        if agent.settings.command == "assets":
            return _outcome(agent, poller)
        await asyncio.get_running_loop().create_future()
    await poller.run(over, prepare)
    return 0


async def _poll_once(agent: Agent, poller: Poller, prepare: Tick | None) -> None:
    """Poll, and again while a release is still being published."""
    await poller.once(prepare)
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLING
    while (pause := agent.settles_in) is not None and loop.time() < until:
        log.info("Waiting for release to settle", extra={"why": agent.status_reason})
        await asyncio.sleep(pause)
        await poller.once(prepare)


def _outcome(agent: Agent, poller: Poller) -> int:
    """Return the exit status: 0 only if the newest release is deployed."""
    if poller.problem:
        return 1
    if is_met(agent.state, agent.newest):
        return 0
    newest = agent.newest
    entry = newest and agent.state.quarantine.find(newest.tag, newest.identity)
    why = quarantined(entry) if entry else agent.status_reason
    log.error("Newest release not deployed", extra={"why": why})
    return 1
