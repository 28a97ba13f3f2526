"""Everything that belongs to the replicas of one application, wired together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..config import Settings
from ..deploy.ledger import Ledger
from ..proxy import Backend, Port
from ..remotes.oci.credentials import Credentials
from .application import Application
from .arguments import RunOptions
from .deployer import ContainerDeployer
from .fleet import Fleet
from .health import Pulse
from .keeper import Died, Keeper
from .model import Engine
from .overview import describe
from .pausing import Pausing
from .recipe import Recipes
from .retiring import Patience, Retirement
from .starting import Starter
from .supply import ImageSupply, Shown
from .table import Table
from .upstream import Upstreams

__all__ = ["Crew"]


@dataclass(slots=True)
class Crew:
    """
    The replicas of an application, and who looks after them.

    Attributes:
        keeper: Set once somebody may be told of deaths.
    """

    settings: Settings
    table: Table
    supply: ImageSupply
    deployer: ContainerDeployer
    retirement: Retirement
    recipes: Recipes
    pausing: Pausing
    keeper: Keeper | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        engine: Engine,
        application: Application,
        options: RunOptions,
        ports: list[Port],
        ledger: Ledger,
        credentials: Callable[[], Awaitable[Credentials | None]],
        progress: Shown,
        hurry: asyncio.Event,
    ) -> Crew:
        """Put it together; nothing happens yet."""
        table = Table(ports, settings.drain_time)
        fleet = Fleet(engine, application, table, pulse(settings))
        retirement = Retirement(fleet, patience(settings, options), hurry)
        supply = ImageSupply(engine, application, ledger, credentials, progress)
        recipes = Recipes(engine, application, settings, options)
        deployer = ContainerDeployer(
            fleet=fleet,
            starter=Starter(fleet, Upstreams(engine, settings.upstream)),
            retirement=retirement,
            recipes=recipes,
            supply=supply,
            settings=settings,
            running=lambda: ledger.state.running,
        )
        pausing = Pausing(ports)
        return cls(settings, table, supply, deployer, retirement, recipes, pausing)

    def keep(self, died: Died, troubled: Callable[[str], None]) -> Keeper:
        """Whoever looks after the replicas while entered."""
        self.keeper = Keeper(self.deployer, died, troubled)
        return self.keeper

    async def probe(self, backend: Backend) -> bool:
        """Whether a suspected *backend* is to be used again."""
        return self.keeper is not None and await self.keeper.probe(backend)

    def containers(self) -> list[dict[str, Any]]:
        """All replicas, by name, as the admin API tells them."""
        replicas = sorted(self.deployer.fleet.replicas, key=lambda each: each.name)
        return [describe(replica) for replica in replicas]

    async def leave(self) -> None:
        """
        Close the ports and end, leaving the containers to the next dewy, or
        drain, stop and remove them all: as `--on-exit` says.
        """
        self.pausing.resume()
        for port in self.table.ports:
            port.close()
        if self.settings.on_exit == "leave":
            await self.retirement.stop()
        else:
            self.retirement.begin(self.deployer.fleet.replicas)
            await self.retirement.ended()


def pulse(settings: Settings) -> Pulse:
    """How looks at a replica are counted."""
    return Pulse(settings.health_rise, settings.health_fall)


def patience(settings: Settings, options: RunOptions) -> Patience:
    """How long leaving replicas are waited for."""
    stated = options.stop_timeout
    stop = settings.stop_timeout if stated is None else float(stated)
    return Patience(settings.drain_time, stop)
