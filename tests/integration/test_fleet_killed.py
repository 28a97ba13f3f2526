"""The host that downloads for all others is killed half-way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from tests.standins import programs, publishing
from tests.standins.files import Fault
from tests.standins.fleet import Shared, all_tick, host, running, shared
from tests.standins.github import TOKEN, GitHubServer
from tests.standins.roots import say

OTHERS = 49
REGISTRY = "ghr://acme/app?artifact=app.tar.gz"
LEASE = "2"
"""Seconds; a minute is what it is otherwise."""


@pytest.fixture
async def github(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GitHubServer]:
    async with GitHubServer() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.api)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield server


@pytest.fixture(params=["redis", "consul-standin", "s3"])
async def cache(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Shared]:
    async with shared(request.param, tmp_path) as made:
        yield made


async def killed(root: Path, when: asyncio.Event, *options: str) -> None:
    """A dewy in *root* that gets SIGKILL when *when* is set."""
    await asyncio.to_thread(root.mkdir)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.standins.short_lease", LEASE, "assets"),
        *options,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    try:
        async with asyncio.timeout(60):
            await when.wait()
        assert process.returncode is None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_killed_downloader_causes_single_extra_download(
    github: GitHubServer, cache: Shared, tmp_path: Path
) -> None:
    """And nobody more than its lease; nor does anyone ask the registry again."""
    content = programs.tarball({"VERSION": "v1.0.0", "n": os.urandom(200_000).hex()})
    github.publish("v1.0.0", {"app.tar.gz": content})
    github.store.faults = [Fault(after=len(content) // 2, then="stall")]
    url = f"{cache.url}{'&' if '?' in cache.url else '?'}registry-ttl=10m"
    options = ("--registry", REGISTRY, "--admin-port", "0", "--cache", url, "--once")

    await killed(tmp_path / "first", github.store.stalled, *options)
    async with AsyncExitStack() as stack:
        agents = [
            await stack.enter_async_context(host(tmp_path / f"{n}", REGISTRY, url))
            for n in range(OTHERS)
        ]
        await all_tick(agents)
        assert {"v1.0.0": OTHERS} == running(agents)
    again = await say(tmp_path / "first", "assets", *options)

    assert 0 == again.status, again.err
    assert "v1.0.0" == (tmp_path / "first" / "current" / "VERSION").read_text()
    assert 2 == len(github.store.seen)
    asked = [path for path in github.paths() if path.startswith("GET") and "?" in path]
    assert 1 == len(asked), asked


POINTS = {
    "redis": "dewy.caches.redis:RedisStore.place:leave:2",
    "consul-standin": "dewy.caches.consul:ConsulStore.place:leave:2",
    "s3": "dewy.remotes.objects.s3:S3Upload.write:leave",
    "gs": "dewy.remotes.objects.gcs:ResumableUpload.write:leave",
}


@pytest.mark.parametrize("kind", POINTS)
async def test_writer_that_is_killed_leaves_nothing_that_counts(
    kind: str, tmp_path: Path
) -> None:
    """Half an upload is in the cache; the next host fetches all of it anew."""
    registry, root = tmp_path / "registry", tmp_path / "first"
    await asyncio.to_thread(registry.mkdir)
    await asyncio.to_thread(root.mkdir)
    content = os.urandom(9 << 20)
    publishing.put(registry, "v1.0.0", {"app": content})
    url = f"{registry.as_uri()}?artifact=app"
    async with shared(kind, tmp_path) as cache:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.standins.killed", POINTS[kind], "assets"),
            *("--registry", url, "--admin-port", "0", "--cache", cache.url),
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        async with asyncio.timeout(60):
            assert -signal.SIGKILL == await process.wait()
        async with host(tmp_path / "next", url, cache.url) as agent:
            held = agent.release_store._fetcher._cache  # type: ignore[attr-defined]
            [lease] = [key for key in await held.keys() if key.endswith("--app")]
            assert lease.startswith("locks/")
            await held.delete(lease)  # a minute has passed

            await agent.tick()

            assert {"v1.0.0": 1} == running([agent])
            path = agent.settings.root / "current" / "app"
            assert content == await asyncio.to_thread(path.read_bytes)
            key = lease.removeprefix("locks/artifact/")
            assert {key, f"{key}.json"} <= set(await held.keys())
