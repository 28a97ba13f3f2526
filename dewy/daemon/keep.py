"""Keeping one root, from the first check to the last farewell."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack

from .. import __version__
from ..admin.address import SOCKET
from ..admin.control import ControlServer
from ..admin.http import AdminAPI
from ..admin.metrics import answering
from ..admin.online import Online
from ..admin.past import Past
from ..config import DEFAULT_ADMIN_PORT, Settings
from ..errors import DewyError
from ..notifiers import Kind
from ..polling import Poller
from ..signals import Signals
from ..supervisor.policy import Policy
from ..system import Clock
from ..systemd import Service
from ..telemetry.loading import load
from .files import unpacking
from .ground import Ground, opened
from .programs import supervise
from .reload import Reread

__all__ = ["run"]

log = logging.getLogger(__name__)


async def run(settings: Settings, reread: Reread | None = None) -> int:
    """
    Keep one root until a signal ends it; the exit status.

    *reread* tells what the settings would be now, for `dewy reload`.

    Raises:
        ConfigError: something cannot be as it was asked for; nothing was started.
        RootBusy: another dewy works here.
        DewyError, OSError: it could not start.
    """
    service = Service.from_environment(os.environ)
    with Signals() as signals:
        keeping = asyncio.create_task(
            _keep(settings, reread or (lambda: settings), service, signals), name="keep"
        )
        stopping = asyncio.create_task(signals.stop.wait(), name="stop signal")
        await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not keeping.done():
            log.info("Stopping", extra={"signal": signals.reason})
            service.stopping(f"Stopping on {signals.reason}")
            service.extend(settings.stop_timeout + settings.drain_time + 30)
            keeping.cancel()
            signals.obeyed.set()
        await asyncio.wait({keeping, stopping})
        status = 0 if keeping.cancelled() else keeping.result()
        log.info("Dewy stopped")
        return status


async def _keep(
    settings: Settings, reread: Reread, service: Service, signals: Signals
) -> int:
    """Assemble everything, then poll; ends by being cancelled, or with `--once`."""
    async with AsyncExitStack() as stack:
        telemetry = await asyncio.to_thread(load, settings)
        outside = await opened(stack, settings)
        ground = Ground(settings, stack, service, signals, outside, Clock())
        ground.telemetry = telemetry
        if settings.command == "container":
            from .replicas import replicate

            online = await replicate(ground, reread)
        else:
            online = await _unpack(ground)
        return await _serve(ground, online)


async def _unpack(ground: Ground) -> Online:
    settings, signals = ground.settings, ground.signals
    policy = Policy.of(settings, os.environ) if settings.command == "server" else None
    await ground.take_root()
    agent, releases = await unpacking(ground)
    poller = Poller(agent.tick, settings, ground.clock, agent.chronicle)
    generations = None
    if policy:
        generations = await supervise(ground, agent, releases, policy)
    else:
        signals.restart = poller.wake

    async def restart() -> str:
        signals.restart()
        return "a new generation is started" if generations else "polling now"

    return Online(agent, poller, generations, reload=restart)


async def _serve(ground: Ground, online: Online) -> int:
    settings, agent, poller = ground.settings, online.agent, online.poller
    socket = settings.private / SOCKET
    await ground.stack.enter_async_context(ControlServer(socket, online.handle))
    await _measure(ground, online)
    await _answer_locally(ground, online)
    ground.service.ready(agent.describe())
    chronicle, signals = agent.chronicle, ground.signals
    chronicle.tell(Kind.ORDINARY, f"dewy {__version__} keeps {settings.root}")
    try:
        return await _poll(settings, poller, signals.obeyed)
    finally:
        chronicle.tell(Kind.ORDINARY, f"Stopping ({signals.reason or 'done'})")


async def _measure(ground: Ground, online: Online) -> None:
    telemetry = ground.telemetry
    if telemetry is not None:
        # What comes with it is loaded by now.
        from .measuring import measure

        measure(telemetry, online, ground.progress)
        await ground.stack.enter_async_context(telemetry)


async def _answer_locally(ground: Ground, online: Online) -> None:
    """Open the HTTP API; only where its port was chosen must it be had."""
    settings, telemetry = ground.settings, ground.telemetry
    routes = {}
    if telemetry is not None:
        routes["/metrics"] = answering(telemetry.text, telemetry.content_type)
    past = Past(settings.private)
    api = AdminAPI(
        settings.admin_port,
        online.status,
        online.containers,
        past.read,
        routes=routes,
    )
    try:
        await ground.stack.enter_async_context(api)
    except DewyError as exc:
        if settings.admin_port != DEFAULT_ADMIN_PORT:
            raise
        log.warning("Admin API not started", extra={"error": str(exc)})


async def _poll(settings: Settings, poller: Poller, over: asyncio.Event) -> int:
    if settings.once:
        await poller.once()
        if settings.command == "assets":
            return 1 if poller.problem else 0
        await asyncio.get_running_loop().create_future()
    await poller.run(over)
    return 0
