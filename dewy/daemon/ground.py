"""What every mode stands on: the outside, the lock, the state, and who is told."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import __version__, urls
from ..agent import Agent
from ..caches import CACHES, Cache, SharedCache
from ..caches.outage import Outage
from ..config import Settings
from ..deploy.answer import key
from ..deploy.around import DeployHooks
from ..deploy.chronicle import Chronicle
from ..deploy.deployer import Deployer
from ..deploy.history import History
from ..deploy.ledger import Ledger
from ..deploy.lock import lock
from ..deploy.progress import Shown
from ..deploy.shared import SharedRegistry, Terms, ttl_of
from ..deploy.supply import Supply
from ..deploy.trial import Trial
from ..notifiers import Notifier, Origin
from ..notifiers.channel import open_channel
from ..registries import REGISTRIES, Registry
from ..remotes import Clients
from ..signals import Signals
from ..system import Clock, hostname
from ..systemd import Service
from ..versions import Selection

if TYPE_CHECKING:
    from ..telemetry.opening import Telemetry

__all__ = ["Ground", "Outside", "opened"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the operator's URLs name."""

    registry: Registry
    cache: Cache
    notifiers: tuple[Notifier, ...]
    clients: Clients
    outage: Outage = field(default_factory=Outage)


@dataclass(slots=True)
class Ground:
    """
    What there is before a mode adds its own.

    Attributes:
        stack: Left in the end, whatever was entered last first.

        service: The manager of services that started us, if any did.

        progress: Shows downloads, and counts them.

        telemetry: Where it was asked for.
    """

    settings: Settings
    stack: AsyncExitStack
    service: Service
    signals: Signals
    outside: Outside
    clock: Clock
    progress: Shown = field(default_factory=Shown)
    telemetry: Telemetry | None = None

    async def take_root(self) -> None:
        """
        Be the one dewy of the root.

        Raises:
            RootBusy: there is another.
            OSError: the root cannot be written.
        """
        settings = self.settings
        await asyncio.to_thread(self.stack.enter_context, lock(settings.private))
        log.info(
            "Dewy started",
            extra={
                "version": __version__,
                "command": settings.command,
                "registry": urls.redact(settings.registry),
            },
        )
        watching = asyncio.create_task(self.service.watch(), name="watchdog")
        self.stack.push_async_callback(_end, watching)

    async def agent(
        self,
        ledger: Ledger,
        supply: Supply,
        deployer: Deployer,
        registry: Registry | None = None,
    ) -> Agent:
        """Whoever carries deployments out, with what it writes down and tells."""
        settings, clock = self.settings, self.clock
        history = History(settings.private)
        chronicle = await self.stack.enter_async_context(
            Chronicle(history, self.outside.notifiers, clock)
        )
        trial = Trial(settings, clock, ledger, chronicle)
        trial.resume()
        return Agent(
            settings=settings,
            clock=clock,
            ledger=ledger,
            supply=supply,
            registry=registry or self._registry(chronicle),
            deployer=deployer,
            chronicle=chronicle,
            hooks=DeployHooks(settings, supply, chronicle),
            trial=trial,
            announce=self.service.status,
        )

    def _registry(self, chronicle: Chronicle) -> Registry:
        """The one that was named; its answers are shared where that was asked for."""
        cache, ttl = self.outside.cache, ttl_of(self.settings.cache)
        if not ttl or not isinstance(cache, SharedCache):
            return self.outside.registry
        return SharedRegistry(
            self.outside.registry,
            cache,
            key(self.settings.registry, Selection(self.settings.slot)),
            Terms.of(ttl),
            clock=self.clock,
            tell=chronicle.tell,
            outage=self.outside.outage,
        )


async def opened(stack: AsyncExitStack, settings: Settings) -> Outside:
    """
    Open what the URLs name.

    Raises:
        ConfigError: one of them cannot be as it was written.
    """
    clients = await stack.enter_async_context(Clients())
    # In a thread: implementations are imported now, and some read a key file.
    outside = await asyncio.to_thread(_opened, settings, clients)
    if isinstance(outside.cache, AbstractAsyncContextManager):
        await stack.enter_async_context(outside.cache)
    return outside


def _opened(settings: Settings, clients: Clients) -> Outside:
    cache = settings.cache or settings.cache_dir.as_uri()
    origin = Origin(hostname(), settings.root, settings.command)
    ttl_of(cache)
    wanted = Selection(settings.slot, reports=settings.private / "reports")
    return Outside(
        REGISTRIES.open(settings.registry, wanted, clients),
        CACHES.open(cache, settings.cache_dir),
        tuple(open_channel(url, origin, Clock()) for url in settings.notifiers),
        clients,
    )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
