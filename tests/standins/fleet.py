"""Many hosts with one upstream and one cache between them, all in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from dewy.agent import Agent
from dewy.caches import Cache, SharedCache, redis
from dewy.caches.chunks import ChunkedCache
from dewy.caches.outages import CircuitBreaker, OutageLog
from dewy.config import Reloadable, Settings
from dewy.deploy import registry_cache, single_flight
from dewy.deploy.deployer import AssetsDeployer
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.fetch import Fetcher, Fetches, scope
from dewy.deploy.history import History
from dewy.deploy.hooks import DeployHooks
from dewy.deploy.probation import Probation
from dewy.deploy.registry_answer import key
from dewy.deploy.registry_cache import CachedRegistry, Terms
from dewy.deploy.release_store import UnpackedReleaseStore
from dewy.deploy.releases import Releases
from dewy.deploy.single_flight import SingleFlightFetcher
from dewy.deploy.state import State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.registries import REGISTRIES, Registry
from dewy.remotes import Clients
from dewy.remotes.memory import Call, MemoryStore
from dewy.system import Clock
from dewy.versions import Selection
from tests import needs
from tests.contracts.object_cases import bucket
from tests.contracts.shared_cases import entered, opens
from tests.standins.consul import Consul, serving
from tests.standins.redis import redis_server


class Upstream(MemoryStore):
    """
    What everybody asks in the end.

    Attributes:
        asked: How often each call was made.
    """

    @property
    def url(self) -> str:
        return f"mem://{self.name}"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def named_after(cls, directory: Path) -> AsyncIterator[Upstream]:
        made = cls(directory.name)
        MemoryStore._named[made.name] = made
        yield made
        del MemoryStore._named[made.name]

    def attempt(self, call: Call) -> None:
        self.asked[call] += 1
        super().attempt(call)


@asynccontextmanager
async def host(
    root: Path,
    url: str,
    cache_url: str,
    *,
    ttl: float = 600.0,
    lease: float = 60.0,
    clock: Clock | None = None,
) -> AsyncIterator[Agent]:
    """One host: an agent that keeps files of the registry at *url* in *root*."""
    private = root / ".dewy"
    private.mkdir(parents=True)
    settings = Settings(
        command="assets", registry=url, root=root, cache_dir=private / "cache"
    )
    clock, outage = clock or Clock(), OutageLog()
    releases = Releases(root)
    state_store = StateStore(StateFile(private), State())
    async with (
        Clients() as clients,
        DeploymentLog(History(private), [], clock) as deployment_log,
        entered(opens(cache_url), settings.cache_dir) as cache,
    ):
        fetcher = Fetcher(
            cache,
            clients,
            scope=scope(url),
            staging=private / "staging",
            verify="auto",
            outage=outage,
        )
        registry: Registry = await asyncio.to_thread(
            REGISTRIES.open, url, Selection(), clients
        )
        fetches: Fetches = fetcher
        if isinstance(cache, SharedCache):
            fetches = SingleFlightFetcher(
                fetcher, cache, length=lease, clock=clock, outage=outage
            )
            registry = CachedRegistry(
                registry,
                cache,
                key(url, Selection()),
                Terms.of(ttl),
                clock=clock,
                outage=outage,
            )
        release_store = UnpackedReleaseStore(releases, fetches)
        reloadable = Reloadable(settings)
        agent = Agent(
            reloadable=reloadable,
            clock=clock,
            state_store=state_store,
            release_store=release_store,
            registry=registry,
            deployer=AssetsDeployer(releases),
            deployment_log=deployment_log,
            hooks=DeployHooks(reloadable, release_store, deployment_log),
            probation=Probation(reloadable, clock, state_store, deployment_log),
            announce=lambda text: None,
        )
        try:
            yield agent
        finally:
            await agent.follow_up.stop()


@dataclass(frozen=True)
class Shared:
    """
    A cache that hosts share.

    Attributes:
        down: Takes it away.
    """

    url: str
    down: Callable[[], Awaitable[object]]


PATIENCE = 60.0
SHARED = ("mem", "redis", "consul-standin", "s3", "gs")


def _be_patient(patch: pytest.MonkeyPatch) -> None:
    within = CircuitBreaker.within
    patch.setattr(
        CircuitBreaker,
        "within",
        lambda reach, given=0.0: within(reach, max(given, PATIENCE)),
    )
    patch.setattr(redis, "CONNECT", PATIENCE)
    patch.setattr(registry_cache, "UNLOCK", PATIENCE)
    patch.setattr(single_flight, "GIVING_BACK", PATIENCE)


@asynccontextmanager
async def shared(kind: str, directory: Path) -> AsyncIterator[Shared]:
    """
    An empty one of SHARED, which nobody gives up because this machine is slow.
    """
    async with AsyncExitStack() as stack:
        _be_patient(stack.enter_context(pytest.MonkeyPatch.context()))
        enter = stack.enter_async_context
        match kind:
            case "redis":
                needs.require("redis-server")
                server = await enter(redis_server(directory / "servers"))
                yield Shared(f"redis://127.0.0.1:{server.port}", server.kill)
            case "consul-standin":
                stop = await enter(AsyncExitStack())
                port = await stop.enter_async_context(serving(Consul()))
                yield Shared(f"consul://127.0.0.1:{port}/app", stop.aclose)
            case "s3" | "gs":
                store = await enter(bucket(kind))
                yield Shared(store.url("cache"), partial(asyncio.to_thread, store.drop))
            case _:
                yield Shared(f"mem://{directory.name}", asyncio.Event().wait)


HARM: dict[str, Callable[[bytes], bytes | None]] = {
    "evicted": lambda content: None,
    "torn": lambda content: content[:-1],
    "flipped": lambda content: bytes([content[0] ^ 1]) + content[1:],
}
"""What stores do to files: how a part of one looks afterwards, None for not at all."""


async def harmed(cache: Cache, harm: Callable[[bytes], bytes | None]) -> None:
    """Do *harm* to the one file in *cache*, but not to what vouches for it."""
    if isinstance(cache, ChunkedCache):
        [chunk, *_] = await cache._store.names("chunk/")
        content = harm(await cache._store.fetch(chunk) or b"")
        if content is None:
            await cache._store.delete([chunk])
        else:
            await cache._store.place(chunk, content)
        return
    [key] = [key for key in await cache.keys() if key.endswith(".tar.gz")]
    content = harm(await cache.get(key) or b"")
    if content is None:
        await cache.delete(key)
    else:
        await cache.put(key, content)


async def all_tick(agents: list[Agent]) -> None:
    """Let every host look once, all at the same time, and finish what follows."""
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(_tick(agent), name="tick")


async def _tick(agent: Agent) -> None:
    await agent.tick()
    await agent.follow_up.finished()


def running(agents: list[Agent]) -> Counter[str]:
    """What the hosts run."""
    return Counter(a.state.running.tag if a.state.running else "" for a in agents)
