"""A fleet on a host that is memory, its table a real proxy's; nothing is started."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dewy.config import Endpoint, PortMapping, Reloadable, Settings
from dewy.containers.application import Application
from dewy.containers.replica import Replica
from dewy.containers.replica_store import ReplicaStore
from dewy.containers.rollout import Phase
from dewy.containers.table import ReplicaTable
from dewy.containers.upstream import PUBLISHED, Upstream
from dewy.proxy import Proxy
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost

REPOSITORY = "registry.test/acme/shop"
SHOP = Application("shop", REPOSITORY)


@dataclass
class Yard:
    """
    What a test of a fleet works with.

    Attributes:
        dead: Names of those that ended by themselves while they served.
    """

    host: MemoryHost
    engine: MemoryEngine
    store: ReplicaStore
    proxy: Proxy
    settings: Reloadable[Settings]
    dead: list[str] = field(default_factory=list)

    async def left(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        image: str = f"{REPOSITORY}:v1",
        start: bool = True,
    ) -> str:
        """A container that somebody made; its id."""
        if image not in self.host.registry:
            self.host.publish(image)
        await self.engine.pull(image, None, lambda done, total: None)
        usual = SHOP.labels(0, "v1", "sha256:1", "spec", [PortMapping(80, 8080)])
        spec: dict[str, Any] = {
            "Image": image,
            "Labels": usual if labels is None else dict(labels),
            "ExposedPorts": {"8080/tcp": {}},
        }
        made = await self.engine.create(name, spec)
        if start:
            await self.engine.start(made)
        return made

    async def serving(self, name: str) -> Replica:
        """One that is in the table."""
        container = await self.left(name)
        await self.store.observe()
        replica = self.store.get(container)
        assert replica is not None
        where = Endpoint("127.0.0.1", replica.container.published[8080])
        replica.ready(Upstream(PUBLISHED, (where,) * len(self.proxy.ports)))
        self.store.admit([replica])
        return replica

    @property
    def phases(self) -> dict[str, Phase]:
        return {each.name: each.phase for each in self.store.replicas}

    def backends(self) -> list[int]:
        """How many each port has that get connections."""
        return [len(port.serving) for port in self.proxy.ports]


@asynccontextmanager
async def yard(ports: int = 1) -> AsyncIterator[Yard]:
    """A fleet and its table."""
    host = MemoryHost("yard")
    engine = MemoryEngine(host)
    async with Proxy(threads=0) as proxy:
        opened = [await proxy.open(Endpoint("127.0.0.1", 0)) for _ in range(ports)]
        mappings = tuple(PortMapping(80 + number, 8080) for number in range(ports))
        here = Path()
        settings = Reloadable(
            Settings(
                command="container",
                registry="",
                root=here,
                cache_dir=here,
                port_mappings=mappings,
                drain_time=5.0,
            )
        )
        table = ReplicaTable(opened, settings)
        store = ReplicaStore(engine, SHOP, table, settings)
        made = Yard(host, engine, store, proxy, settings)
        made.store.died.append(lambda replica: made.dead.append(replica.name))
        yield made
        await table.stop()
