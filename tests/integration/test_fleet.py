"""A fleet costs its upstream what one host costs, whatever its cache does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dewy.agent import Agent
from dewy.deploy.history import History
from tests import needs
from tests.standins import programs, publishing
from tests.standins.fleet import (
    HARM,
    SHARED,
    Shared,
    Upstream,
    all_tick,
    harmed,
    host,
    running,
    shared,
)
from tests.standins.redis import redis_server
from tests.standins.roots import say

HOSTS = 50


@dataclass
class Fleet:
    """Hosts with one upstream and one cache."""

    upstream: Upstream
    cache: Shared
    stack: AsyncExitStack
    directory: Path

    def publish(self, version: str) -> None:
        noise = os.urandom(200_000).hex()
        content = programs.tarball({"VERSION": version, "noise": noise})
        self.upstream.publish(version, {"app.tar.gz": content})

    async def hosts(self, number: int, **given: float) -> list[Agent]:
        have = len(list(self.directory.glob("host*")))
        roots = [self.directory / f"host{have + n}" for n in range(number)]
        enter = self.stack.enter_async_context
        return [
            await enter(host(root, self.upstream.url, self.cache.url, **given))  # type: ignore[arg-type]
            for root in roots
        ]


@pytest.fixture(params=SHARED)
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as servers, AsyncExitStack() as stack:
        upstream = await servers.enter_async_context(Upstream.named_after(tmp_path))
        cache = await servers.enter_async_context(shared(request.param, tmp_path))
        yield Fleet(upstream, cache, stack, tmp_path)


async def test_fleet_uses_single_download_and_registry_request(fleet: Fleet) -> None:
    """One download of each release, one request in the time an answer is good for."""
    fleet.publish("v1.0.0")
    agents = await fleet.hosts(HOSTS)

    await all_tick(agents)

    assert {"v1.0.0": HOSTS} == running(agents)
    assert (1, 1) == (fleet.upstream.asked["current"], fleet.upstream.asked["fetch"])
    await all_tick(agents)
    assert 1 == fleet.upstream.asked["current"]


async def test_each_answer_has_its_time(fleet: Fleet) -> None:
    """Which has passed at the second tick: one more request, and the new release."""
    fleet.publish("v1.0.0")
    agents = await fleet.hosts(10, ttl=600)
    await all_tick(agents)
    fleet.publish("v1.1.0")
    impatient = await fleet.hosts(10, ttl=1e-9)

    await impatient[0].tick()
    asked = fleet.upstream.asked["current"]
    await all_tick(agents)

    assert (2, 2) == (asked, fleet.upstream.asked["current"])
    assert {"v1.1.0": 10} == running(agents)
    assert 2 == fleet.upstream.asked["fetch"]


async def test_fresh_host_on_a_warm_cache_deploys(fleet: Fleet) -> None:
    """Though everybody else has deployed it long ago; and nothing is downloaded."""
    fleet.publish("v1.0.0")
    await all_tick(await fleet.hosts(2))
    fresh = await fleet.hosts(1)

    await all_tick(fresh)

    assert {"v1.0.0": 1} == running(fresh)
    assert 1 == fleet.upstream.asked["fetch"]


@pytest.mark.parametrize(
    ("fleet", "harm"),
    [
        *(("redis", harm) for harm in HARM),
        ("consul-standin", "torn"),
        *(("s3", harm) for harm in ("evicted", "flipped")),
        *(("gs", harm) for harm in ("evicted", "torn")),
    ],
    indirect=["fleet"],
)
async def test_damaged_cache_entry_is_refetched_once(fleet: Fleet, harm: str) -> None:
    """Of many hosts that find it out at once, as of those that see a new release."""
    fleet.publish("v1.0.0")
    first = await fleet.hosts(1)
    await all_tick(first)
    cache = first[0].release_store._fetcher._cache  # type: ignore[attr-defined]
    await harmed(cache, HARM[harm])
    fresh = await fleet.hosts(5)

    await all_tick(fresh)
    later = await fleet.hosts(1)
    await all_tick(later)

    assert {"v1.0.0": 6} == running(fresh + later)
    assert 2 == fleet.upstream.asked["fetch"]


async def test_cache_outage_does_not_block_deployments(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Each goes to the upstream, and says so once."""
    if fleet.cache.url.startswith("mem:"):
        pytest.skip("memory does not go down")
    fleet.publish("v1.0.0")
    agents = await fleet.hosts(3)
    await all_tick(agents)
    await fleet.cache.down()
    fleet.publish("v1.1.0")

    await all_tick(agents)
    await all_tick(agents)

    assert {"v1.1.0": 3} == running(agents)
    assert 4 == fleet.upstream.asked["fetch"]
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert 3 == told.count("Went on without the cache")


async def test_applications_sharing_a_cache_are_isolated(fleet: Fleet) -> None:
    """Though their tags and the names of their files are the same."""
    other_place = fleet.directory / "other"
    other_place.mkdir()
    other = await fleet.stack.enter_async_context(Upstream.named_after(other_place))
    fleet.publish("v1.0.0")
    content = programs.tarball({"VERSION": "of the other one"})
    other.publish("v1.0.0", {"app.tar.gz": content})
    mine = await fleet.hosts(2)
    theirs = [
        await fleet.stack.enter_async_context(
            host(other_place / f"host{n}", other.url, fleet.cache.url)
        )
        for n in range(2)
    ]

    for _ in range(2):
        await all_tick(mine + theirs)

    said = {(a.settings.root / "current" / "VERSION").read_text() for a in theirs}
    assert {"of the other one"} == said
    assert 1 == fleet.upstream.asked["fetch"] == other.asked["fetch"]
    for agent in mine + theirs:
        history = History(agent.settings.private)
        assert 1 == len(await asyncio.to_thread(history.read))


@needs.needs("redis-server")
async def test_processes_share_answer_and_artifact(tmp_path: Path) -> None:
    """So that a fresh host deploys while the upstream itself is gone."""
    registry = tmp_path / "registry"
    registry.mkdir()
    content = programs.tarball({"VERSION": "v1.0.0"})
    publishing.put(registry, "v1.0.0", {"app.tar.gz": content})
    async with redis_server(tmp_path / "servers") as server:
        cache = f"redis://127.0.0.1:{server.port}?registry-ttl=10m"

        async def deploy(name: str) -> None:
            root = tmp_path / name
            root.mkdir()
            options = ("--once", "--admin-port", "0", "--cache", cache)
            done = await say(root, "assets", "--registry", registry.as_uri(), *options)
            assert 0 == done.status, done.err
            assert "v1.0.0" == (root / "current" / "VERSION").read_text()

        await asyncio.gather(*(deploy(f"host{n}") for n in range(3)))
        registry.rename(tmp_path / "gone")
        await deploy("fresh")
