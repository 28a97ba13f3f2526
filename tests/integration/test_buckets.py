"""Hosts that share a bucket: as registry, as artifact store and as cache."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.registries import REGISTRIES
from dewy.remotes import Clients
from dewy.versions import Selection
from tests.contracts.object_cases import bucket
from tests.integration.test_memory import MIB, Measured, memory
from tests.standins.buckets import BUCKETS, Bucket
from tests.standins.front import Front
from tests.standins.s3 import url
from tests.standins.site import Dewy

ALLOWED = 80 * MIB


def host(base: Path, registry: str, cache: str) -> Dewy:
    """A host that keeps a directory of files."""
    base.mkdir()
    # Often enough; each poll costs the server much of what it has to give.
    options = ["--interval", "1s", "--cache", cache]
    return Dewy(base, command="assets", registry_url=registry, options=options)


@pytest.mark.parametrize("scheme", BUCKETS)
async def test_memory_does_not_follow_the_artifact(
    tmp_path: Path, scheme: str, soak: bool, measured: Measured
) -> None:
    """
    From the store, into the cache, and out of it; the server is another process.
    """
    async with bucket(scheme) as store:
        await passes(tmp_path, store, soak, measured)


async def passes(base: Path, bucket: Bucket, soak: bool, measured: Measured) -> None:
    size = (1024 if soak else 48) * MIB
    registry, cache = bucket.url("app", "?artifact=zeros"), bucket.url("cache")
    bucket.put("app/v0.0.1/zeros", b"first")
    first = host(base / "first", registry, cache)
    second = host(base / "second", registry, cache)

    # moto reads a whole object for each piece of it that is asked for.
    first.within = second.within = 1500.0 if soak else 60.0

    async with first:
        await first.runs("v0.0.1")
        idle = memory(first, "VmRSS")
        await asyncio.to_thread(bucket.put, "app/v1.0.0/zeros", bytes(size))
        await first.runs("v1.0.0")
        stored = memory(first, "VmHWM") - idle
    async with second:
        await second.runs("v1.0.0")
        loaded = memory(second, "VmHWM") - idle
    measured(f"{size >> 20} MiB in {stored >> 20} MiB, out {loaded >> 20} MiB")

    for dewy in (first, second):
        assert size == (dewy.root / "current" / "zeros").stat().st_size
    assert 2 == first.log.count("Cached artifact")
    assert "Cached artifact" not in second.log
    assert [] == [key for key in bucket.keys("cache/") if "current" in key]
    assert min(ALLOWED, size) > stored
    assert min(ALLOWED, size) > loaded


async def test_poll_costs_two_requests() -> None:
    async with bucket("s3") as store, Front(url()) as front, Clients() as clients:
        store.put("app/v1.0.0/app", b"")
        where = store.url("app", "?artifact=app", endpoint=front.url)
        registry = await asyncio.to_thread(REGISTRIES.open, where, Selection(), clients)

        assert "v1.0.0" == (await registry.current()).tag
        assert 2 == len(front.seen)
