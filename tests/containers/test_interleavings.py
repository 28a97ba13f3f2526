"""Whatever happens in whatever order, what runs is not lost and comes back whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dewy.containers.replica import Replica
from dewy.errors import DewyError
from tests.eventually import eventually, turns
from tests.standins.crews import Bench, benched

REPLICAS = 3
GIVEN: dict[str, Any] = {
    "replicas": REPLICAS,
    "max_parallel": 2,
    "health_path": "/up",
    "health_interval": 0.01,
    "health_restart": 0.1,
    "health_timeout": 0.5,
    "drain_time": 0.1,
}


@dataclass
class Storm:
    """
    Troubles of all kinds, by a seed.

    Attributes:
        told: What happened, for whoever reads of a failure.
    """

    bench: Bench
    random: Random
    told: list[str] = field(default_factory=list)
    deploying: asyncio.Task[None] | None = None
    versions: int = 1
    slow: bool = False

    async def hook(self, phase: str, call: str, subject: str) -> None:
        """The engine takes its time, for some calls more than for others."""
        await asyncio.sleep(0.03 * self.random.random() if self.slow else 0)

    @property
    def running(self) -> str:
        state = self.bench.state_store.state.running
        assert state is not None
        return state.tag

    def one(self) -> Replica | None:
        serving = self.bench.replica_set.deployer.store.serving
        return self.random.choice(serving) if serving else None

    async def death(self) -> None:
        if replica := self.one():
            await self.bench.host.kill(replica.id, 1)

    async def disaster(self) -> None:
        for each in list(self.bench.host.held):
            await self.bench.host.kill(each, asked=True)

    async def removal(self) -> None:
        if replica := self.one():
            engine = self.bench.replica_set.deployer.store.engine
            with suppress(DewyError):
                await engine.remove(replica.id, force=True)

    async def sickness(self) -> None:
        if (replica := self.one()) and (shop := self.bench.shops.get(replica.id)):
            shop.health = self.random.choice([200, 503])

    async def pause(self) -> None:
        replica = self.one()
        held = self.bench.host.held.get(replica.id) if replica else None
        if held is not None and held.container.running:
            held.change(state="paused")
            self.bench.host.tell("pause", held)
            await turns(self.random.randrange(50))
            if held.container.state == "paused":
                held.change(state="running")
                self.bench.host.tell("unpause", held)

    async def disconnection(self) -> None:
        replica = self.one()
        held = self.bench.host.held.get(replica.id) if replica else None
        if held is not None:
            self.bench.host.tell("disconnect", held)

    async def slowness(self) -> None:
        self.slow = not self.slow

    async def doubt(self) -> None:
        self.bench.replica_set.deployer.look_again()

    async def deployment(self) -> None:
        if self.deploying is None or self.deploying.done():
            self.versions += 1
            label = self.random.choice([{}, {}, {"health": "500"}, {"listens": "no"}])
            release = self.bench.publish(f"v{self.versions}", labels=label)
            self.deploying = asyncio.create_task(
                self._deploy(release), name="deployment"
            )

    async def _deploy(self, release: Any) -> None:
        with suppress(DewyError):
            await self.bench.deploy(release)

    async def cancellation(self) -> None:
        if self.deploying is not None:
            self.deploying.cancel()
            async with asyncio.timeout(10):
                await asyncio.gather(self.deploying, return_exceptions=True)

    async def blow(self, steps: int) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.death,
            self.removal,
            self.sickness,
            self.pause,
            self.disconnection,
            self.slowness,
            self.doubt,
            self.deployment,
            self.cancellation,
            self.disaster,
        ]
        weights = [3, 2, 3, 2, 2, 1, 1, 4, 1, 1]
        for _ in range(steps):
            kind = self.random.choices(kinds, weights)[0]
            self.told.append(kind.__name__)
            await kind()
            await asyncio.sleep(self.random.choice([0, 0, 0.01, 0.05]))
            self.judge()

    def judge(self) -> None:
        """What holds at every moment."""
        store = self.bench.replica_set.deployer.store
        ports = self.bench.proxy.ports
        table = {b for port in ports for b in port.serving}
        for replica in store.replicas:
            listed = bool(table & set(replica.backends.values()))
            assert listed == (replica in store.table), (replica, self.told)
            # Nobody is stopped, or dead to the kernel, and still in the table.
            assert not (listed and replica.dead.is_set()), (replica, self.told)

    async def calm(self) -> None:
        """All of it is over, and what is to run does, and nothing else."""
        self.slow = False
        if self.deploying is not None:
            await asyncio.wait({self.deploying}, timeout=60)
            if not self.deploying.cancelled():
                self.deploying.result()
        for shop in self.bench.shops.values():
            shop.health = 200 if shop.health == 503 else shop.health
        await eventually(self.whole)
        assert self.running == await self.bench.ask()
        await self.bench.deploy(self.bench.publish("v0"))
        assert "v0" == self.running
        await eventually(self.whole)

    def whole(self) -> bool:
        wanted = [self.running] * REPLICAS
        self.bench.replica_set.deployer.look_again()
        return (
            wanted == self.bench.serving() == self.bench.running()
            and len(self.bench.host.held) == REPLICAS
        )


@asynccontextmanager
async def storm(root: Path, seed: int) -> AsyncIterator[Storm]:
    async with benched(root, **GIVEN) as bench:
        await bench.deploy(bench.publish("v1"))
        found = Storm(bench, Random(seed))
        bench.host.hook = found.hook
        try:
            yield found
        except BaseException as exc:
            exc.add_note(f"seed {seed}: {found.told}")
            raise
        finally:
            if found.deploying is not None:
                found.deploying.cancel()
                await asyncio.gather(found.deploying, return_exceptions=True)


@pytest.mark.timeout(600)
async def test_replicas_recover_from_random_sequence_of_failures(
    soak: bool, tmp_path: Path
):
    for seed in range(200 if soak else 8):
        root = tmp_path / str(seed)
        root.mkdir()
        async with storm(root, seed) as it:
            await it.blow(30)
            await it.calm()
