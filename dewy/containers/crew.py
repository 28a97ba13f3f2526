"""Everything that belongs to the replicas of one application, wired together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..config import Settings
from ..deploy.ledger import Ledger
from ..errors import EngineError
from ..proxy import Backend, Port
from ..remotes.oci.credentials import Credentials
from .application import Application
from .deployer import ContainerDeployer
from .fleet import Fleet
from .health import Pulse
from .keeper import Died, Keeper
from .model import Engine
from .options.arguments import RunOptions
from .overview import describe
from .pausing import Pausing
from .recipe import Recipes
from .retiring import Patience, Retirement
from .starting import Starter
from .supply import ImageSupply, Shown
from .table import Table
from .upstream import Upstreams
from .vigil import Vigil

__all__ = ["Crew"]


@dataclass(slots=True)
class Crew:
    """
    The replicas of an application, and who looks after them.

    Attributes:
        vigil: To be entered as long as the table has replicas.

        keeper: Set once somebody may be told of deaths.
    """

    settings: Settings
    table: Table
    supply: ImageSupply
    deployer: ContainerDeployer
    retirement: Retirement
    recipes: Recipes
    pausing: Pausing
    vigil: Vigil
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
        fleet = Fleet(
            engine, application, table, pulse(settings), settings.port_mappings
        )
        retirement = Retirement(fleet, patience(settings, options), hurry)
        supply = ImageSupply(engine, application, ledger, credentials, progress)
        supply.platform = options.platform
        recipes = Recipes(engine, application, settings, options)
        deployer = ContainerDeployer(
            fleet=fleet,
            starter=Starter(fleet, Upstreams(engine, settings.upstream)),
            retirement=retirement,
            recipes=recipes,
            supply=supply,
            settings=settings,
            running=lambda: ledger.state.running,
            bad=lambda tag, digest: bool(ledger.state.quarantine.find(tag, digest)),
        )
        return cls(
            settings=settings,
            table=table,
            supply=supply,
            deployer=deployer,
            retirement=retirement,
            recipes=recipes,
            pausing=Pausing(ports),
            vigil=Vigil(fleet),
        )

    def keep(self, died: Died, troubled: Callable[[str], None]) -> Keeper:
        """Whoever looks after the replicas while entered."""
        self.keeper = Keeper(self.deployer, died, troubled)
        return self.keeper

    def renew(self, settings: Settings, options: RunOptions) -> bool:
        """
        Go by other settings from now on; replicas that were made otherwise roll.

        Whether *options* are others than before.
        """
        options = self.recipes.run_as(options)
        changed = options != self.recipes.options
        self.settings = self.deployer.settings = self.recipes.settings = settings
        self.recipes.options = options
        self.supply.platform = options.platform
        self.retirement.patience = patience(settings, options)
        self.deployer.starter.upstreams.wanted = settings.upstream
        self.table.lingering = settings.drain_time
        self._count_anew(pulse(settings))
        self.deployer.fleet.changed.set()
        return changed

    def _count_anew(self, pulse: Pulse) -> None:
        fleet = self.deployer.fleet
        fleet.pulse = pulse
        for each in fleet.replicas:
            each.pulse = replace(each.pulse, rise=pulse.rise, fall=pulse.fall)

    async def probe(self, backend: Backend) -> bool:
        """Whether a suspected *backend* is to be used again."""
        return self.keeper is not None and await self.keeper.probe(backend)

    def containers(self) -> list[dict[str, Any]]:
        """All replicas, by name, as the admin API tells them."""
        replicas = sorted(self.deployer.fleet.replicas, key=lambda each: each.name)
        return [describe(replica) for replica in replicas]

    def degraded(self) -> list[str]:
        """What is not as it should be, a phrase each."""
        serving = self.deployer.fleet.serving
        reasons = [
            f"replica {each.name} is unhealthy: {each.problem}"
            for each in serving
            if not each.pulse.healthy
        ]
        wanted = self.settings.replicas
        if serving and len(serving) < wanted:
            reasons.append(f"{len(serving)} of {wanted} replicas serve")
        if self.keeper and self.keeper.problem:
            reasons.append(f"replicas are missing: {self.keeper.problem}")
        if self.pausing.paused:
            reasons.append("new connections are paused")
        return reasons

    async def leave(self) -> None:
        """
        Close the ports and end, leaving the containers to the next dewy, or
        drain, stop and remove them all: as `--on-exit` says.
        """
        self.pausing.leave()
        for port in self.table.ports:
            port.close()
        if self.settings.on_exit == "leave":
            await self.retirement.stop()
        else:
            await self._end()

    async def _end(self) -> None:
        fleet, recipes = self.deployer.fleet, self.recipes
        with suppress(EngineError):
            # One may have been on its way when its start was called off.
            await fleet.observe()
        self.retirement.begin(fleet.replicas)
        await self.retirement.ended()
        with suppress(EngineError):
            for replica in fleet.replicas:
                await fleet.remove(replica)
            if not recipes.options.network:
                await fleet.engine.remove_network(fleet.application.network)


def pulse(settings: Settings) -> Pulse:
    """How looks at a replica are counted."""
    return Pulse(settings.health_rise, settings.health_fall)


def patience(settings: Settings, options: RunOptions) -> Patience:
    """How long leaving replicas are waited for."""
    stated = options.stop_timeout
    stop = settings.stop_timeout if stated is None else float(stated)
    return Patience(settings.drain_time, stop)
