"""
A dewy that keeps containers, on a host that is memory, and all that may happen to it.

What happens is drawn from a seed; `World.check` holds what must be true all along,
and `World.settles` what must be true in the end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from dewy import boot
from dewy.admin.handlers import Handlers
from dewy.agent import Agent
from dewy.changes import Change
from dewy.config import PortMapping, Settings
from dewy.containers.engines.memory import MemoryEngine
from dewy.containers.engines.memory_contents import Call
from dewy.containers.engines.memory_host import MemoryHost
from dewy.containers.replica_set import ReplicaSet
from dewy.daemon import container
from dewy.daemon.runtime import Endpoints, RunContext
from dewy.deploy.state import State, StateFile
from dewy.errors import DewyError, EngineError, NoRelease, RemoteError
from dewy.registries.candidates import Candidates, newest
from dewy.registries.options import Options
from dewy.release import Deployment, Release
from dewy.signals import Signals
from dewy.system import Clock
from dewy.systemd import Service
from dewy.versions import Selection, Version
from tests.standins.crews import REPOSITORY, Bench, Shop

EPOCH = 2_000_000_000.0
REPLICAS = 2

GOOD, SICK, DEAF, CRASHES = "good", "sick", "deaf", "crashes"
"""Answers well, answers 503, never listens, ends at once."""


class Killed(EngineError):
    """The dewy that asks was killed: nothing it asks for happens any more."""


class _Engine(MemoryEngine):
    """Deaf to a dewy that was killed."""

    def __init__(self, host: MemoryHost, life: Life) -> None:
        super().__init__(host)
        self._life = life

    def __getattribute__(self, name: str) -> Any:
        if name in CALLS and self._life.killed:
            raise Killed(f"{name}: this dewy is dead")
        return super().__getattribute__(name)


CALLS = frozenset(
    {"create", "start", "stop", "remove", "pull", "remove_image", "create_network"}
)


class Versions:
    """A registry that takes its time, and that can be away."""

    def __init__(self, random: random.Random) -> None:
        self._random = random
        self.releases: dict[str, Release] = {}
        self._options = Options.read(urlsplit("mem://here"), Selection())
        self.away = False

    async def current(self, tag: str | None = None) -> Release:
        if tag is None:
            return await newest(await self.candidates())
        await self._answer()
        if tag not in self.releases:
            raise NoRelease(f"there is no {tag}")
        return self.releases[tag]

    async def candidates(self) -> Candidates:
        await self._answer()

        async def details(version: Version) -> Release:
            return self.releases[version.tag]

        return self._options.candidates(self.releases, "here", details, costly=False)

    async def _answer(self) -> None:
        await asyncio.sleep(self._random.choice([0, 0.2, 2]))
        if self.away:
            raise RemoteError("the registry is away")

    async def report(self, deployment: Deployment) -> None:
        """Keep nothing."""


@dataclass
class Life:
    """One dewy, from its start until it stops or is killed."""

    handlers: Handlers = None  # type: ignore[assignment]
    killed: bool = False
    work: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def agent(self) -> Agent:
        return self.handlers.agent

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run *work*; what is refused is refused."""
        task = asyncio.create_task(work)
        self.work.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self.work.discard(task)
        if not task.cancelled():
            with suppress(DewyError, OSError):
                task.result()

    async def ended(self) -> None:
        for task in self.work:
            task.cancel()
        if self.work:
            await asyncio.wait(self.work)


class World:
    """The host, what was published, and the dewy of the moment."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)
        self.host = MemoryHost(f"{root}-{seed}")
        self.registry = Versions(self.random)
        self.kinds: dict[str, str] = {}
        self.asked_for: set[str] = set()
        self.held_at: str | None = None
        self.known: set[str] = set()
        self.told: list[str] = []
        self.faults: list[str] = []
        self.written = State()
        self.armed: tuple[int, Callable[[], Any]] | None = None
        self.promising: dict[str, Change] = {}
        self.slow = False
        self.bench = Bench(self.host, None, None)  # type: ignore[arg-type]
        self.host.run = self.bench.run
        self.host.hook = self._hook
        self.life = Life()
        self._stack = AsyncExitStack()

    async def _hook(self, phase: str, call: Call, subject: str) -> None:
        if phase == "before" and call == "start":
            self._starts(subject)
        if phase == "before" and call == "stop":
            self._stops(subject)
        if self.slow and phase == "before":
            await asyncio.sleep(self.random.uniform(0, 8))

    def _starts(self, container: str) -> None:
        found = self.host.find(container)
        tag = found.container.labels["dewy.version"] if found else ""
        state, now = self.life.agent.state, self.life.agent.clock.wall()
        release = self.registry.releases.get(tag)
        entry = state.quarantine.find(tag, release.identity if release else "")
        runs = state.running is not None and state.running.tag == tag
        if entry and entry.blocks(now) and not runs and tag not in self.asked_for:
            self.faults.append(f"{tag} was started although it is in quarantine")

        change = self.life.agent.changes.current
        if change and self.kinds.get(tag) == GOOD and not self.slow:
            self.promising[container] = change

    def _stops(self, container: str) -> None:
        """What takes over, and is well, is stopped by nobody before it is decided."""
        found, agent = self.host.find(container), self.life.agent
        change = self.promising.get(container)
        if found is None or change is None or change is not agent.changes.current:
            return
        labels, target = found.container.labels, self.replica_set.deployer.target
        if change.cancelled or change.committed or labels["dewy.spec"] != target:
            return
        if found.container.running:
            self.faults.append(f"a replica of {change.attempt.target} was stopped")

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

        world = self

        class File(StateFile):
            def write(self, state: State) -> None:
                if not life.killed:
                    super().write(state)
                    world.judge(state)

        @asynccontextmanager
        async def opened(*given: object) -> AsyncIterator[MemoryEngine]:
            yield _Engine(self.host, life)

        boot.StateFile = File  # type: ignore[misc]
        container.open_engine = opened  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: EPOCH + loop.time(), loop.time, lambda: 0.5)
        stack = self._stack = AsyncExitStack()
        outside = Endpoints(self.registry, None, (), None)  # type: ignore[arg-type]
        signals = stack.enter_context(Signals())
        context = RunContext(settings, stack, Service(), signals, outside, clock)
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
            # Where nothing runs, the first version may still come.
            self.held_at = self.running or None
            # Going back within probation goes on under hold.
            self.known = {i.tag for i in self.life.agent.state.installed}

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
        tag = self.random.choice([None, *self.kinds])
        if tag:
            self.asked_for.add(tag)
        self.life.spawn(self.life.handlers.handle("deploy", {"version": tag}))

    async def interrupt(self) -> None:
        """A verb, said at one of the next steps of a change, such as its last."""
        verbs = [self.hold, self.abort, self.roll_back, self.deploy]
        self.armed = self.random.randint(1, 4), self.random.choice(verbs)

    async def verbs_at_once(self) -> None:
        """Two verbs, the second while the first may still ask the registry."""
        if self.random.random() < 0.5:
            await self.publish()
        verbs = [self.deploy, self.hold, self.roll_back, self.abort, self.unhold]
        first, second = self.random.choices(verbs, [3, 3, 1, 1, 1], k=2)
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
            self.promising.clear()
            loop = asyncio.get_running_loop()
            loop.call_later(self.random.uniform(1, 20), setattr, shop, "health", 200)

    async def slowness(self) -> None:
        self.slow = not self.slow
        self.promising.clear()

    async def outage(self) -> None:
        self.registry.away = not self.registry.away

    async def kill(self) -> None:
        await self.stop(kill=True)
        await self.start()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def _let_go(self) -> None:
        self.held_at = None

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

    def judge(self, state: State) -> None:
        """What must be true of a state that is written after the one before it."""
        before, self.written = self.written, state
        if not (before.hold and before.running and state.running):
            return
        old, new = before.running.tag, state.running.tag
        if _key(new) > _key(old) and before.find(new) is None:
            self.faults.append(f"{new} took over although {old} was held")

    def check(self) -> None:
        """What must be true all along."""
        held, running = self.held_at, self.running
        on_hold = held is not None and self.life.agent.state.hold
        if on_hold and running not in self.known and _key(running) > _key(held or ""):
            self.faults.append(f"held at {held}, but {running} was deployed")
        assert not self.faults, self.story()

    async def settles(self) -> None:
        """What must be true once nothing happens any more."""
        self.slow = self.registry.away = False
        self.armed = None
        for shop in self.shops():
            if self.kinds.get(shop.version) == GOOD:
                shop.health = 200
        for _ in range(60):
            self.life.spawn(self.life.handlers.poller.once())
            await asyncio.sleep(60)
            if self._is_settled():
                break
        self.check()
        assert self._is_settled(), self.story()

    def _is_settled(self) -> bool:
        state = self.life.agent.state
        if self.life.agent.changes.current is not None:
            return False
        if state.running is None:
            return not any(
                kind == GOOD and not state.quarantine.find(tag, release.identity)
                for (tag, kind) in self.kinds.items()
                for release in [self.registry.releases[tag]]
            )
        if self.kinds[self.running] != GOOD:
            # Asked for by an operator, or nothing to go back to.
            return True
        return [self.running] * REPLICAS == self.serving

    def story(self) -> str:
        """All that happened, for whoever has to find out."""
        state = self.life.agent.state
        return "\n".join(
            [
                *self.faults,
                *self.told,
                f"running {self.running}, serving {self.serving}, hold {state.hold}",
                f"kept {[i.tag for i in state.installed]}, kinds {self.kinds}",
                f"quarantine {[(e.tag, e.reason) for e in state.quarantine]}",
                f"poll: {self.life.handlers.poller.problem}",
                f"status: {self.life.agent.status_reason}",
            ]
        )


def _key(tag: str) -> tuple[int, ...]:
    """Order *tag* as a version."""
    return tuple(map(int, tag[1:].split("."))) if tag else ()


async def live(root: Path, seed: int, events: int) -> None:
    """One sequence of *events*, drawn from *seed*."""
    world = World(root, seed)
    await world.publish()
    await world.start()
    try:
        for _ in range(events):
            await world.happen()
            world.check()
        await world.settles()
    finally:
        world.slow = False
        await world.stop()
        for shop in world.bench.shops.values():
            await shop.kill()
