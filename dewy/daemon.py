"""
The daemon: one exit stack, in the order things depend on each other.

Nothing is created before everything that can be refused has been checked, and
what runs is started from disk before the registry is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from . import __version__, boot, urls
from .admin.address import SOCKET
from .admin.control import ControlServer
from .admin.http import AdminAPI
from .admin.online import Online
from .agent import Agent
from .caches import CACHES, Cache
from .config import DEFAULT_ADMIN_PORT, Settings
from .deploy.around import DeployHooks
from .deploy.chronicle import Chronicle
from .deploy.deployer import AssetsDeployer
from .deploy.fetch import Fetcher, scope
from .deploy.history import History
from .deploy.ledger import Ledger
from .deploy.lock import lock
from .deploy.progress import shown
from .deploy.releases import Releases
from .deploy.state import Group
from .deploy.trial import Trial
from .errors import DewyError, StartFailed
from .notifiers import NOTIFIERS, Kind, Notifier
from .polling import Poller
from .registries import REGISTRIES, Registry
from .remotes import Clients
from .signals import Signals
from .supervisor.deployer import ServerDeployer
from .supervisor.exits import describe_exit
from .supervisor.generations import Generations
from .supervisor.policy import Policy
from .supervisor.sockets import open_listeners
from .supervisor.supervisor import Supervisor
from .supervisor.worker import Worker
from .system import Clock, boot_id
from .systemd import Service
from .versions import Selection

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the operator's URLs name."""

    registry: Registry
    cache: Cache
    notifiers: tuple[Notifier, ...]
    clients: Clients


async def run(settings: Settings) -> int:
    """
    Keep one root until a signal ends it; the exit status.

    Raises:
        ConfigError: something cannot be as it was asked for; nothing was started.
        RootBusy: another dewy works here.
        DewyError, OSError: it could not start.
    """
    service = Service.from_environment(os.environ)
    with Signals() as signals:
        keeping = asyncio.create_task(keep(settings, service, signals), name="keep")
        stopping = asyncio.create_task(signals.stop.wait(), name="stop signal")
        await asyncio.wait({keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not keeping.done():
            log.info("Stopping", extra={"signal": signals.reason})
            service.stopping(f"Stopping on {signals.reason}")
            service.extend(settings.stop_timeout + 30)
            keeping.cancel()
        await asyncio.wait({keeping, stopping})
        status = 0 if keeping.cancelled() else keeping.result()
        log.info("Dewy stopped")
        return status


async def keep(settings: Settings, service: Service, signals: Signals) -> int:
    """Assemble everything, then poll; ends by being cancelled, or with `--once`."""
    clock = Clock()
    policy = Policy.of(settings, os.environ) if settings.command == "server" else None
    async with AsyncExitStack() as stack:
        outside = await _open(stack, settings)
        await asyncio.to_thread(stack.enter_context, lock(settings.private))
        log.info(
            "Dewy started",
            extra={
                "version": __version__,
                "command": settings.command,
                "registry": urls.redact(settings.registry),
            },
        )
        watching = asyncio.create_task(service.watch(), name="watchdog")
        stack.push_async_callback(_end, watching)
        releases = Releases(settings.root)
        ledger = await boot.load(settings, clock)
        await boot.repair(ledger, releases)
        await boot.recover(settings, ledger, releases, clock)
        history = History(settings.private)
        chronicle = await stack.enter_async_context(
            Chronicle(history, outside.notifiers, clock)
        )
        fetcher = Fetcher(
            outside.cache,
            outside.clients,
            scope=scope(settings.registry),
            staging=settings.private / "staging",
            verify=settings.verify_checksum,
            progress=shown,
        )
        await fetcher.clear()
        await fetcher.retain(installed.tag for installed in ledger.state.installed)
        agent = Agent(
            settings=settings,
            clock=clock,
            ledger=ledger,
            releases=releases,
            fetcher=fetcher,
            registry=outside.registry,
            deployer=AssetsDeployer(releases),
            chronicle=chronicle,
            hooks=DeployHooks(settings, releases, chronicle),
            trial=Trial(settings, clock, ledger, releases, chronicle),
            announce=service.status,
        )
        poller = Poller(agent.tick, settings, clock)
        generations = (
            await _supervise(stack, agent, policy, service, signals) if policy else None
        )
        signals.restart = signals.restart if generations else poller.wake
        online = Online(agent, poller, generations)
        socket = settings.private / SOCKET
        await stack.enter_async_context(ControlServer(socket, online.handle))
        await _answer_locally(stack, settings, online)
        service.ready(agent.describe())
        chronicle.tell(Kind.ORDINARY, f"dewy {__version__} keeps {settings.root}")
        try:
            return await _poll(settings, poller)
        finally:
            chronicle.tell(Kind.ORDINARY, f"Stopping ({signals.reason or 'done'})")


async def _open(stack: AsyncExitStack, settings: Settings) -> Outside:
    clients = await stack.enter_async_context(Clients())
    # In a thread: implementations are imported now, and some read a key file.
    return await asyncio.to_thread(_opened, settings, clients)


def _opened(settings: Settings, clients: Clients) -> Outside:
    cache = settings.cache or settings.cache_dir.as_uri()
    wanted = Selection(settings.slot, reports=settings.private / "reports")
    return Outside(
        REGISTRIES.open(settings.registry, wanted, clients),
        CACHES.open(cache, settings.cache_dir),
        tuple(NOTIFIERS.open(url) for url in settings.notifiers),
        clients,
    )


async def _supervise(
    stack: AsyncExitStack,
    agent: Agent,
    policy: Policy,
    service: Service,
    signals: Signals,
) -> Generations:
    """Listen, and start what the state says runs."""
    settings, ledger = agent.settings, agent.ledger
    service.extend(settings.stop_timeout * 2 + settings.start_timeout + 30)
    await boot.end_orphans(ledger.state.groups, settings.stop_timeout)
    listeners = stack.enter_context(
        await open_listeners(settings.ports, service.listeners(), settings.stop_timeout)
    )
    generations = Generations(
        settings.program,
        settings.root,
        listeners,
        policy,
        capture=settings.capture,
        notifies=ledger.state.notifies,
        record=lambda: _record(ledger, generations),
        hurry=signals.hurry,
    )
    agent.deployer = ServerDeployer(agent.releases, generations)

    async def died(worker: Worker) -> bool:
        how = describe_exit(worker.exited.result())
        moved = await agent.trial.verdict(how, worker.tail)
        agent.announce(agent.describe())
        return moved

    supervisor = await stack.enter_async_context(Supervisor(generations, died))
    signals.restart = supervisor.restart
    if ledger.state.running is not None:
        try:
            await supervisor.start()
        except StartFailed as exc:
            log.error("Program did not start at boot", extra={"error": str(exc)})
    return generations


async def _record(ledger: Ledger, generations: Generations) -> None:
    boot_now = boot_id()
    groups = tuple(
        Group(worker.pid, worker.started, boot_now)
        for worker in generations.workers
        if worker.pid
    )
    notifies = generations.notifies
    await ledger.note(lambda state: replace(state, groups=groups, notifies=notifies))


async def _answer_locally(
    stack: AsyncExitStack, settings: Settings, online: Online
) -> None:
    """Open the HTTP API; only where its port was chosen must it be had."""
    api = AdminAPI(settings.admin_port, online.status)
    try:
        await stack.enter_async_context(api)
    except DewyError as exc:
        if settings.admin_port != DEFAULT_ADMIN_PORT:
            raise
        log.warning("Admin API not started", extra={"error": str(exc)})


async def _poll(settings: Settings, poller: Poller) -> int:
    if settings.once:
        await poller.once()
        if settings.command == "assets":
            return 1 if poller.problem else 0
        await asyncio.get_running_loop().create_future()
    await poller.run()
    raise AssertionError("polling ends by being cancelled")


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
