"""
A dewy that keeps containers, on a host that is memory, and all that may happen to it.

What happens is drawn from a seed; `Promises` holds what must be true all along, and
what must be true in the end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from dewy import boot
from dewy.config import PortMapping, Reloadable, Settings
from dewy.containers.replica_set import ReplicaSet
from dewy.daemon import container
from dewy.daemon.runtime import Endpoints, RunContext
from dewy.deploy.state import State, StateFile
from dewy.release import Release
from dewy.signals import Signals
from dewy.system import Clock
from dewy.systemd import Service
from tests.standins.crews import REPOSITORY, Bench, Shop
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import Call, MemoryHost
from tests.standins.mortal import Life, MortalEngine, Versions
from tests.standins.promises import (
    CRASHES,
    DEAF,
    GOOD,
    REPLICAS,
    SICK,
    Promises,
)

EPOCH = 2_000_000_000.0

LONGEST = 150
"""Minutes after which everything has settled: twice the longest quarantine."""


class World:
    """The host, what was published, and the dewy of the moment."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)
        self.host = MemoryHost(f"{root}-{seed}")
        self.registry = Versions(self.random)
        self.kinds: dict[str, str] = {}
        self.told: list[str] = []
        self.armed: tuple[int, Callable[[], Any]] | None = None
        self.promises = Promises(self)
        self.slow = False
        self.bench = Bench(self.host, None, None)  # type: ignore[arg-type]
        self.host.run = self.bench.run
        self.host.hook = self._hook
        self.life = Life()
        self._stack = AsyncExitStack()

    async def _hook(self, phase: str, call: Call, subject: str) -> None:
        if phase == "before" and call == "start":
            self.promises.starts(subject)
        if phase == "before" and call == "stop":
            self.promises.stops(subject)
        if self.slow and phase == "before":
            await asyncio.sleep(self.random.uniform(0, 8))

    async def start(self) -> None:
        """Start a dewy."""
        life = self.life = Life()
        settings = Settings(
            command="container",
            registry=f"img://{REPOSITORY}",
            root=self.root,
            cache_dir=self.root / ".dewy" / "cache",
            port_mappings=(PortMapping(0, 8080),),
            replicas=REPLICAS,
            min_healthy=0.0,
            health_path="/up",
            health_timeout=20.0,
            upstream="published",
            drain_time=1.0,
            stop_timeout=2.0,
            probation=10.0,
            proxy_threads=0,
            keep=4,
        )

        promises = self.promises

        class File(StateFile):
            def write(self, state: State) -> None:
                if not life.killed:
                    super().write(state)
                    promises.writes(state)

        @asynccontextmanager
        async def opened(*given: object) -> AsyncIterator[MemoryEngine]:
            yield MortalEngine(self.host, life)

        boot.StateFile = File  # type: ignore[misc]
        container.open_engine = opened  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: EPOCH + loop.time(), loop.time, lambda: 0.5)
        stack = self._stack = AsyncExitStack()
        outside = Endpoints(self.registry, None, (), None)  # type: ignore[arg-type]
        signals = stack.enter_context(Signals())
        context = RunContext(
            Reloadable(settings),
            stack,
            Service(),
            signals,
            outside,
            clock,
            outer=stack,
            last=stack,
        )
        life.handlers = await container.replicate(context, lambda: settings)
        stack.enter_context(life.agent.changes.listening(self._step))

    async def stop(self, *, kill: bool = False) -> None:
        """End the dewy; *kill* is `kill -9`: nothing it does on its way counts."""
        self.life.killed = kill
        await self.life.ended()
        await self._stack.aclose()

    @property
    def serving(self) -> list[str]:
        store = self.replica_set.deployer.store
        return sorted(replica.version for replica in store.serving)

    @property
    def replica_set(self) -> ReplicaSet:
        return cast("ReplicaSet", self.life.handlers.replica_set)

    @property
    def running(self) -> str:
        running = self.life.agent.state.running
        return running.tag if running else ""

    async def status(self) -> dict[str, Any]:
        """Return the answer of `dewy status`."""
        return dict(await self.life.handlers.handle("status", {}))

    async def ask(self) -> str:
        """Return the version that answers through the proxy."""
        port = self.replica_set.table.ports[0].endpoint.port
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
        return answer.rpartition(b"\r\n")[2].decode()

    def shops(self) -> list[Shop]:
        """The applications of containers that run."""
        held = self.host.held.values()
        return [
            self.bench.shops[each.container.id]
            for each in held
            if each.container.running and each.container.id in self.bench.shops
        ]

    # What may happen.

    async def publish(self) -> None:
        tag = f"v1.{len(self.kinds) + 1}.0"
        kind = self.random.choice([GOOD, GOOD, GOOD, SICK, DEAF, CRASHES])
        labels = {"version": tag, "health": "503" if kind == SICK else "200"}
        if kind == DEAF:
            labels["listens"] = "no"
        exits = 3 if kind == CRASHES else None
        name = self.host.publish(f"{REPOSITORY}:{tag}", labels=labels, exits=exits)
        digest = name.partition("@")[2]
        self.kinds[tag] = kind
        self.registry.releases[tag] = Release(tag, f"img://{REPOSITORY}:{tag}", digest)
        self.told.append(f"publish {tag}: {kind}")

    async def tick(self) -> None:
        self.life.spawn(self.life.handlers.poller.once())

    async def hold(self) -> None:
        async def say() -> None:
            await self.life.handlers.handle("hold", {})
            self.promises.hold()

        self.life.spawn(say())

    async def unhold(self) -> None:
        self._let_go()
        self.life.spawn(self.life.handlers.handle("unhold", {}))

    async def roll_back(self) -> None:
        self._let_go()
        self.life.spawn(self.life.handlers.handle("rollback", {}))

    async def abort(self) -> None:
        self.life.spawn(self.life.handlers.handle("abort", {}))

    async def deploy(self) -> None:
        self._let_go()
        tag = self.random.choice([None, None, *self.kinds])
        self.life.spawn(self._deploy(tag))

    async def _deploy(self, tag: str | None) -> None:
        with self.promises.asking_for(tag):
            await self.life.handlers.handle("deploy", {"version": tag})

    async def interrupt(self) -> None:
        """A verb, said at one of the next steps of a change, such as its last."""
        verbs = [self.hold, self.abort, self.roll_back, self.deploy]
        verbs.append(self.verbs_at_once)
        self.armed = self.random.randint(1, 4), self.random.choice(verbs)

    async def verbs_at_once(self) -> None:
        """Two verbs, the second while the first may still ask the registry."""
        if self.random.random() < 0.5:
            await self.publish()
        verbs = [self.deploy, self.hold, self.roll_back, self.abort, self.unhold]
        first, second = self.random.choices(verbs, [3, 3, 2, 1, 1], k=2)
        self.told.append(f"{first.__name__} and {second.__name__}")
        await first()
        await asyncio.sleep(self.random.choice([0, 0.1, 1]))
        await second()

    def _step(self, text: str) -> None:
        if self.armed is None:
            return
        left, verb = self.armed
        self.armed = (left - 1, verb) if left > 1 else None
        if self.armed is None:
            self.told.append(f"{verb.__name__} at {text!r}")
            self.life.spawn(verb())

    async def retry(self) -> None:
        if self.kinds:
            tag = self.random.choice(list(self.kinds))
            self.life.spawn(self.life.handlers.handle("retry", {"version": tag}))

    async def death(self) -> None:
        alive = [e.container.id for e in self.host.held.values() if e.container.running]
        if alive:
            await self.host.kill(self.random.choice(alive))

    async def massacre(self) -> None:
        for each in list(self.host.held.values()):
            if each.container.running:
                await self.host.kill(each.container.id)

    async def flip(self) -> None:
        """One application of a good version answers 503 for a while."""
        if shops := [s for s in self.shops() if self.kinds.get(s.version) == GOOD]:
            shop = self.random.choice(shops)
            shop.health = 503
            self.promises.excuse()
            loop = asyncio.get_running_loop()
            loop.call_later(self.random.uniform(1, 20), setattr, shop, "health", 200)

    async def slowness(self) -> None:
        self.slow = not self.slow
        self.promises.excuse()

    async def outage(self) -> None:
        self.registry.away = not self.registry.away

    async def kill(self) -> None:
        await self.stop(kill=True)
        await self.start()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def _let_go(self) -> None:
        self.promises.held_at = None

    def events(self) -> list[tuple[int, Callable[[], Any]]]:
        """Each that may happen, with how often."""
        return [
            (4, self.publish),
            (6, self.tick),
            (1, self.hold),
            (1, self.unhold),
            (2, self.roll_back),
            (1, self.abort),
            (1, self.deploy),
            (1, self.retry),
            (2, self.interrupt),
            (3, self.verbs_at_once),
            (3, self.death),
            (1, self.massacre),
            (2, self.flip),
            (1, self.slowness),
            (1, self.outage),
            (1, self.kill),
            (1, self.restart),
        ]

    async def happen(self) -> None:
        """One event, and a random time."""
        weights, events = zip(*self.events(), strict=True)
        (event,) = self.random.choices(events, weights)
        self.told.append(f"{asyncio.get_running_loop().time():.2f} {event.__name__}")
        await event()
        await asyncio.sleep(self.random.choice([0, 0, 0.05, 0.5, 3, 15]))

    async def settles(self) -> None:
        """What must be true once nothing happens any more."""
        self.slow = self.registry.away = False
        self.armed = None
        for shop in self.shops():
            if self.kinds.get(shop.version) == GOOD:
                shop.health = 200
        for _ in range(LONGEST):
            self.life.spawn(self.life.handlers.poller.once())
            await asyncio.sleep(60)
            if not (amiss := await self.promises.settled()):
                break
        await self.promises.check()
        assert not amiss, f"{amiss}\n{self.story()}"

    def story(self) -> str:
        """All that happened, for whoever has to find out."""
        state = self.life.agent.state
        return "\n".join(
            [
                *self.promises.faults,
                *self.told,
                f"running {self.running}, serving {self.serving}, hold {state.hold}",
                f"kept {[i.tag for i in state.installed]}, kinds {self.kinds}",
                f"quarantine {[(e.tag, e.reason) for e in state.quarantine]}",
                f"poll: {self.life.handlers.poller.problem}",
                f"status: {self.life.agent.status_reason}",
            ]
        )


async def live(root: Path, seed: int, events: int) -> None:
    """One sequence of *events*, drawn from *seed*."""
    world = World(root, seed)
    await world.publish()
    await world.start()
    try:
        for _ in range(events):
            await world.happen()
            await world.promises.check()
        await world.settles()
    finally:
        world.slow = False
        await world.stop()
        for shop in world.bench.shops.values():
            await shop.kill()
