"""A cache that is slow, full or read-only stops no deployment, and is told of once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from dewy.agent import Agent
from dewy.caches import disk
from dewy.caches.outages import CircuitBreaker
from tests.standins import failing_shelf, programs, publishing
from tests.standins.fleet import Upstream, all_tick, host, running
from tests.standins.roots import say
from tests.standins.troubles import TROUBLED

HOSTS = 2
LOG = "Went on without the cache"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second is what a call may take, whatever was asked for."""
    within = CircuitBreaker.within
    monkeypatch.setattr(
        CircuitBreaker, "within", lambda reach, *given: within(reach, 0.5)
    )


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[Upstream]:
    async with Upstream.named_after(tmp_path) as made:
        yield made


def publish(upstream: Upstream, version: str) -> None:
    content = programs.tarball({"VERSION": version, "n": os.urandom(50_000).hex()})
    upstream.publish(version, {"app.tar.gz": content})


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


@asynccontextmanager
async def hosts(
    upstream: Upstream, directory: Path, cache: str
) -> AsyncIterator[list[Agent]]:
    """Some, for which no answer of the registry is good for long."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                host(directory / f"host{n}", upstream.url, cache, ttl=1e-9)
            )
            for n in range(HOSTS)
        ]


@pytest.mark.parametrize("trouble", ["slow", "full", "read_only"])
@pytest.mark.parametrize("kind", TROUBLED)
async def test_failing_shared_cache_does_not_block_deployments(
    kind: str,
    trouble: str,
    upstream: Upstream,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    """Neither the answer nor the artifact; each host goes to the upstream."""
    async with TROUBLED[kind](tmp_path / "servers") as cache:
        publish(upstream, "v1.0.0")
        async with hosts(upstream, tmp_path, cache.url) as agents:
            await all_tick(agents)
            assert {"v1.0.0": HOSTS} == running(agents)
            await getattr(cache, trouble)()
            publish(upstream, "v1.1.0")
            if trouble == "slow":
                request.getfixturevalue("impatient")
            caplog.clear()
            before = upstream.asked["fetch"]

            for _ in range(2):
                await all_tick(agents)

            assert {"v1.1.0": HOSTS} == running(agents)
            assert HOSTS == upstream.asked["fetch"] - before
            assert [LOG] * HOSTS == warnings(caplog)


@pytest.mark.parametrize("failing", [failing_shelf.full, failing_shelf.read_only])
async def test_unwritable_cache_directory_does_not_block_deployments(
    failing: Callable[..., object],
    upstream: Upstream,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its disk is full, or cannot be written to."""
    monkeypatch.setattr(disk, "store", failing)

    await deploys_twice(upstream, tmp_path, f"file://{tmp_path}/cache")

    assert [LOG] * HOSTS == warnings(caplog)


async def test_undersized_cache_directory_does_not_block_deployments(
    upstream: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await deploys_twice(upstream, tmp_path, f"file://{tmp_path}/cache?max-size=1kB")

    assert {"Not cached: larger than the cache"} == set(warnings(caplog))


async def deploys_twice(upstream: Upstream, directory: Path, cache: str) -> None:
    async with hosts(upstream, directory, cache) as agents:
        for version in ("v1.0.0", "v1.1.0"):
            publish(upstream, version)
            await all_tick(agents)
            assert {version: HOSTS} == running(agents)


@pytest.mark.parametrize(
    "cache",
    [
        "consul://127.0.0.1:1/app?",
        "redis://127.0.0.1:1?sentinel=cache&",
        "redis://127.0.0.1:1?cluster=true&",
    ],
)
async def test_unreachable_cache_is_logged_once(tmp_path: Path, cache: str) -> None:
    """Whatever it wanted of the cache: an answer, its turn, and the artifact."""
    registry, root = tmp_path / "registry", tmp_path / "root"
    await asyncio.to_thread(registry.mkdir)
    await asyncio.to_thread(root.mkdir)
    content = programs.tarball({"VERSION": "v1.0.0"})
    publishing.put(registry, "v1.0.0", {"app.tar.gz": content})
    options = ("--once", "--admin-port", "0", "--cache", f"{cache}registry-ttl=10m")

    done = await say(root, "assets", "--registry", registry.as_uri(), *options)

    assert 0 == done.status, done.err
    assert 1 == done.err.count("level=WARN"), done.err
    assert LOG in done.err
