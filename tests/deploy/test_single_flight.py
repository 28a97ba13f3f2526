"""Hosts that share a cache fetch one after the other, or wait."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dewy.caches import CACHES, SharedCache
from dewy.deploy.single_flight import Lease, SingleFlightFetcher
from dewy.errors import RemoteError
from dewy.release import Release
from dewy.remotes.memory import Call
from dewy.system import Clock
from tests.deploy.fetching import CONTENT, FILE, Host
from tests.eventually import eventually


class Site:
    """Hosts that share a cache and a store."""

    def __init__(self, tmp_path: Path, size: str = "10MB") -> None:
        self.upstream = Host(tmp_path)
        self.upstream.store.publish("v1.0.0", {FILE: CONTENT})
        url = f"mem://{uuid.uuid4().hex}?max-size={size}"
        self.cache = CACHES.open(url, tmp_path)
        self.upstream.cache = self.cache
        self.asked: Counter[str] = Counter()
        attempt = self.upstream.store.attempt

        def counted(call: Call) -> None:
            self.asked[call] += 1
            attempt(call)

        self.upstream.store.attempt = counted  # type: ignore[method-assign]

    def host(self, cache: object = None) -> SingleFlightFetcher:
        shared = cache or self.cache
        assert isinstance(shared, SharedCache)
        return SingleFlightFetcher(
            self.upstream.fetcher, shared, clock=Clock(jitter=lambda: -0.49)
        )

    async def fetch(self, host: SingleFlightFetcher, release: Release) -> bytes:
        async with host.staged(release) as path:
            return await asyncio.to_thread(path.read_bytes)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_concurrent_hosts_download_artifact_once(site: Site) -> None:
    release = await site.upstream.current()
    fetched = await asyncio.gather(
        *(site.fetch(site.host(), release) for _ in range(9))
    )

    assert [CONTENT] * 9 == fetched
    assert 1 == site.asked["fetch"]
    assert not [key for key in await site.cache.keys() if key.startswith("locks/")]


async def test_lease_is_renewed_while_its_holder_fetches(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes, and no longer."""
    renewing, ended = asyncio.Event(), asyncio.Event()

    async def keep(lease: Lease) -> None:
        renewing.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(Lease, "keep", keep)
    release, host = await site.upstream.current(), site.host()
    staged = host._fetcher.staged

    @asynccontextmanager
    async def slowly(release: Release) -> AsyncIterator[Path]:
        await eventually(renewing.is_set)
        assert not ended.is_set()
        async with staged(release) as path:
            yield path

    monkeypatch.setattr(host._fetcher, "staged", slowly)

    assert CONTENT == await site.fetch(host, release)
    assert ended.is_set()


async def test_lease_ends_when_the_artifact_is_there(site: Site) -> None:
    """Not when the deployment does, which may take its time."""
    release = await site.upstream.current()
    async with site.host().staged(release):
        assert not await site.cache.keys("locks/")


async def test_failed_download_is_retried_by_next_host(site: Site) -> None:
    release = await site.upstream.current()
    site.upstream.store.fail("fetch", RemoteError("the wire was cut"))
    hosts = [site.fetch(site.host(), release) for _ in range(3)]
    fetched = await asyncio.gather(*hosts, return_exceptions=True)

    assert 2 == fetched.count(CONTENT)
    assert 1 == len([each for each in fetched if isinstance(each, RemoteError)])


async def test_uncacheable_artifact_is_fetched_by_every_host(tmp_path: Path) -> None:
    """It is too large for the cache: everybody fetches it, and nobody in a queue."""
    site = Site(tmp_path, size="2KB")
    release = await site.upstream.current()

    assert CONTENT == await site.fetch(site.host(), release)

    fetched = await asyncio.gather(
        *(site.fetch(site.host(), release) for _ in range(5))
    )
    assert [CONTENT] * 5 == fetched


class Down:
    """A cache that fails whatever it is asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> object:
        async def fail(*given: object) -> None:
            raise self.error

        return fail


@pytest.mark.parametrize("error", [RemoteError("it is down"), ZeroDivisionError("0")])
async def test_unavailable_cache_does_not_block_fetch(
    site: Site, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    down: Any = Down(error)
    site.upstream.cache = down
    release = await site.upstream.current()
    host = SingleFlightFetcher(site.upstream.fetcher, down)

    assert CONTENT == await site.fetch(host, release)
    assert CONTENT == await site.fetch(host, release)
    messages = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    # By the turns, and by the shelf of its own.
    assert 2 == messages.count("Went on without the cache")


async def test_retaining_is_passed_on(site: Site) -> None:
    await site.fetch(site.host(), await site.upstream.current())
    await site.host().retain(["v1.0.0"])

    assert 2 == len(site.cache._retained)  # type: ignore[attr-defined]
