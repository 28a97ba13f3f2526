"""Common base of the modes: endpoints, lock, state, and reports."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import __version__, urls
from ..agent import Agent
from ..caches import CACHES, Cache, SharedCache
from ..caches.outages import OutageLog
from ..config import Reloadable, Settings
from ..containers.selection import selection_of
from ..deploy.changes import ChangeSlot
from ..deploy.deployer import Deployer
from ..deploy.deployment_log import DeploymentLog
from ..deploy.history import History
from ..deploy.hooks import DeployHooks
from ..deploy.lock import STARTING, RootLock, lock
from ..deploy.probation import Probation
from ..deploy.progress import ProgressReporter
from ..deploy.registry_answer import key
from ..deploy.registry_cache import CachedRegistry, Terms, ttl_of
from ..deploy.release_store import ReleaseStore
from ..deploy.signatures import Keys, keys
from ..deploy.state_store import StateStore
from ..errors import Mistakes
from ..logs import duration
from ..notifiers import Notifier, Origin
from ..notifiers.pipeline import open_pipeline
from ..registries import REGISTRIES, Registry
from ..remotes import Clients
from ..signals import Signals
from ..system import Clock, hostname
from ..systemd import Service

if TYPE_CHECKING:
    from ..telemetry.opening import Telemetry

__all__ = ["Endpoints", "RunContext", "open_endpoints", "opened"]

log = logging.getLogger(__name__)

FIRST_POLL = 15.0
"""
Limit in seconds of the wait for the program that ran before, before the registry is
asked: it may never get ready.
"""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Endpoints that the operator's URLs name."""

    registry: Registry
    cache: Cache
    notifiers: tuple[Notifier, ...]
    clients: Clients
    keys: Keys | None = None
    outage: OutageLog = field(default_factory=OutageLog)


@dataclass(slots=True)
class RunContext:
    """
    Resources that exist before a mode adds its own.

    Attributes:
        reloadable: Settings in use.

        stack: Exit stack, left in the end, the last entered first.

        outer: Exit stack of the root's lock and its control socket, left after that.

        last: Exit stack of what only tells, left in the very end.

        service: Service manager that started dewy, if any.

        progress: Reporter that shows downloads, and counts them.

        telemetry: Telemetry, where requested.

        lock: Lock of the root, once it is taken.

        beginning: Start of the program that ran before, if there is one.

        leaving: Called when dewy begins to stop, with whether a successor may be
            waiting: the beginnings of what ends beside all else.
    """

    reloadable: Reloadable[Settings]
    stack: AsyncExitStack
    service: Service
    signals: Signals
    outside: Endpoints
    clock: Clock
    outer: AsyncExitStack
    last: AsyncExitStack
    progress: ProgressReporter = field(default_factory=ProgressReporter)
    telemetry: Telemetry | None = None
    lock: RootLock | None = None
    beginning: asyncio.Task[None] | None = None
    leaving: list[Callable[[bool], None]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """Settings in use."""
        return self.reloadable.current

    async def begun(self, seconds: float | None = None) -> None:
        """
        Return once what ran before serves or did not start, or after *seconds*.
        """
        if self.beginning is not None:
            await asyncio.wait({self.beginning}, timeout=seconds)

    async def may_poll(self) -> None:
        """Return as `begun` does, or after a while: a newer release may be needed."""
        await self.begun(FIRST_POLL)

    async def take_root(self) -> None:
        """
        Become the only dewy of the root.

        Raises:
            RootBusy: the root belongs to another dewy.
            OSError: the root cannot be written.
        """
        settings = self.settings
        held = lock(settings.private, phase=STARTING)
        self.lock = await asyncio.to_thread(self.outer.enter_context, held)
        log.info(
            "Dewy started",
            extra={
                "version": __version__,
                "command": settings.command,
                "registry": urls.redact(settings.registry),
            },
        )
        _beside(self.last, self.service.watch(), "watchdog")

    def beside(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run *work* in a task called *name*, until it is over or dewy ends."""
        return _beside(self.stack, work, name)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let *work* start the program that ran before."""
        self.beginning = self.beside(work, "start at boot")

    def leave(self) -> None:
        """Begin to end what only tells, while all else still does."""
        hurry = self.signals.stop.is_set()
        for leave in self.leaving:
            leave(hurry)

    async def agent(
        self,
        state_store: StateStore,
        release_store: ReleaseStore,
        deployer: Deployer,
        stack: AsyncExitStack | None = None,
    ) -> Agent:
        """
        Return the agent that carries out deployments, with its log and its notices.

        What follows them is ended as *stack* is left, or the mode's own.
        """
        settings, clock = self.settings, self.clock
        history = History(settings.private)
        deployment_log = await self.last.enter_async_context(
            DeploymentLog(history, self.outside.notifiers, clock)
        )
        state = state_store.state
        running = state.running.name if state.running else ""
        await deployment_log.tell_interrupted(running, state.since)
        self.leaving.append(lambda hurry: deployment_log.leave(hurry=hurry))
        probation = Probation(self.reloadable, clock, state_store, deployment_log)
        self.leaving.append(lambda hurry: probation.leave())
        probation.resume()
        agent = Agent(
            reloadable=self.reloadable,
            clock=clock,
            state_store=state_store,
            release_store=release_store,
            registry=self._registry(deployment_log),
            deployer=deployer,
            deployment_log=deployment_log,
            hooks=DeployHooks(self.reloadable, release_store, deployment_log),
            probation=probation,
            announce=self.service.status,
            changes=ChangeSlot(deployment_log.begin, deployment_log.forget),
        )
        self.progress.listeners.append(agent.changes.advance)
        (stack or self.stack).push_async_callback(agent.follow_up.stop)
        return agent

    def _registry(self, deployment_log: DeploymentLog) -> Registry:
        """Return the named registry, with its answers cached where requested."""
        cache, ttl = self.outside.cache, ttl_of(self.settings.cache)
        if not ttl or not isinstance(cache, SharedCache):
            return self.outside.registry
        log.info("Registry result cache enabled", extra={"ttl": duration(ttl)})
        return CachedRegistry(
            self.outside.registry,
            cache,
            key(self.settings.registry, selection_of(self.settings, os.environ)),
            Terms.of(ttl),
            clock=self.clock,
            tell=deployment_log.tell,
            outage=self.outside.outage,
        )


async def opened(stack: AsyncExitStack, settings: Settings) -> Endpoints:
    """
    Open the endpoints that the URLs name, and read the keys.

    Raises:
        ConfigError: a URL or a key is invalid.
    """
    clients = await stack.enter_async_context(Clients())
    # In a thread: implementations are imported now, and some read a key file.
    outside = await asyncio.to_thread(_opened, settings, clients)
    if isinstance(outside.cache, AbstractAsyncContextManager):
        await stack.enter_async_context(outside.cache)
    return outside


def _opened(settings: Settings, clients: Clients) -> Endpoints:
    mistakes = Mistakes()
    found = open_endpoints(settings, clients, mistakes)
    mistakes.check()
    assert found is not None
    return found


def open_endpoints(
    settings: Settings, clients: Clients, mistakes: Mistakes
) -> Endpoints | None:
    """
    Open the endpoints, and collect in *mistakes* those that cannot be opened.

    The call blocks: implementations are imported. Return None if there is a mistake.
    """
    origin = Origin(hostname(), settings.root, settings.command)
    wanted = selection_of(settings, os.environ, settings.private / "reports")
    registry: Registry | None = None
    cache: Cache | None = None
    notifiers: list[Notifier] = []
    with mistakes.caught():
        registry = REGISTRIES.open(settings.registry, wanted, clients)
    with mistakes.caught():
        url = settings.cache or settings.cache_dir.as_uri()
        ttl_of(url)
        cache = CACHES.open(url, settings.cache_dir)
    for url in settings.notifiers:
        with mistakes.caught():
            notifiers.append(open_pipeline(url, origin, Clock()))
    signed = keys.load_all(settings, mistakes)
    if registry is None or cache is None or mistakes.errors:
        return None
    trusted = keys.of(settings) if signed else None
    return Endpoints(registry, cache, tuple(notifiers), clients, trusted)


def _beside(
    stack: AsyncExitStack, work: Coroutine[Any, Any, None], name: str
) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    stack.push_async_callback(_end, task)
    return task


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
