"""Hosts that share a bucket: as registry, as artifact store and as cache."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from dewy.caches import CACHES
from dewy.deploy.fetch import Fetcher, scope
from dewy.registries import REGISTRIES
from dewy.remotes import Clients
from dewy.remotes.memory import MemoryStore
from dewy.versions import Selection
from tests.integration.test_memory import MIB, Measured, memory
from tests.standins.buckets import BUCKETS, Bucket
from tests.standins.front import Front
from tests.standins.s3 import S3Bucket, url
from tests.standins.site import Dewy

ALLOWED = 80 * MIB


@pytest.fixture(params=BUCKETS)
async def bucket(request: pytest.FixtureRequest) -> Bucket:
    return await asyncio.to_thread(BUCKETS[request.param])


def host(base: Path, bucket: Bucket, registry: str, cache: str) -> Dewy:
    """A host that keeps a directory of files."""
    base.mkdir()
    return Dewy(
        base,
        command="assets",
        registry_url=registry,
        options=["--cache", cache],
        variables=dict(bucket.environment),
    )


async def test_two_applications_in_one_cache_never_meet(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though tag and file have the same names, and though both come again."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    cache = await asyncio.to_thread(CACHES.open, bucket.url("cache"), tmp_path / "here")
    found = []
    async with Clients() as clients:
        for name in ("one", "two", "one", "two"):
            store = MemoryStore.named(f"{bucket.name}-{name}")
            store.publish("v1.0.0", {"app": name.encode()}, digest="")
            url = f"mem://{store.name}?artifact=app"
            release = await REGISTRIES.open(url, Selection(), clients).current()
            fetcher = Fetcher(
                cache,
                clients,
                scope=scope(url),
                staging=tmp_path / "staging",
                verify="auto",
            )
            async with fetcher.staged(release) as path:
                found.append(await asyncio.to_thread(path.read_text))

    assert ["one", "two", "one", "two"] == found


async def test_cache_that_refuses_costs_a_line_and_no_deployment(
    tmp_path: Path,
) -> None:
    bucket = await asyncio.to_thread(S3Bucket)
    bucket.put("app/v1.0.0/app", b"#!/bin/true\n")
    other = await asyncio.to_thread(S3Bucket)
    cache = other.url("cache")
    await asyncio.to_thread(other.drop)

    registry = bucket.url("app", "?artifact=app")
    async with host(tmp_path / "host", bucket, registry, cache) as dewy:
        await dewy.runs("v1.0.0")

    assert 1 == dewy.log.count("Went on without the cache")


async def test_fresh_host_on_a_warm_cache_deploys(
    tmp_path: Path, bucket: Bucket, soak: bool, measured: Measured
) -> None:
    """
    What peers have cached is no reason to think that it runs here.

    And memory does not follow the artifact: from the store, into the cache, and out
    of it. The server is another process.
    """
    size = (1024 if soak else 48) * MIB
    registry, cache = bucket.url("app", "?artifact=zeros"), bucket.url("cache")
    bucket.put("app/v0.0.1/zeros", b"first")
    first = host(tmp_path / "first", bucket, registry, cache)
    second = host(tmp_path / "second", bucket, registry, cache)

    # moto reads a whole object for each piece of it that is asked for.
    first.within = second.within = 600.0 if soak else 60.0

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
    assert ALLOWED > stored
    assert ALLOWED > loaded


def checked(tmp_path: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit status of `dewy check`, and all it printed."""
    plain = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "dewy", "check", *arguments],
        cwd=tmp_path,
        env={**plain, "PYTHONPATH": str(Path.cwd()), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_wrong_at_the_start_is_told_then(tmp_path: Path) -> None:
    """The region was forgotten; nothing is asked for."""
    status, printed = checked(tmp_path, "--registry", "s3://my-bucket/app")

    assert 2 == status
    assert "my-bucket is no region of AWS" in printed
    assert 1 == len(printed.strip().splitlines())


async def test_refusal_is_one_line_that_names_the_bucket(tmp_path: Path) -> None:
    bucket = await asyncio.to_thread(S3Bucket)
    await asyncio.to_thread(bucket.drop)

    status, printed = await asyncio.to_thread(
        checked, tmp_path, "--registry", bucket.url("app"), **bucket.environment
    )

    assert 1 == status
    assert f"s3://eu-central-1/{bucket.name}" in printed
    assert "there is no such bucket" in printed
    assert 1 == len(printed.strip().splitlines())


async def test_poll_costs_two_requests(tmp_path: Path) -> None:
    bucket = await asyncio.to_thread(S3Bucket)
    bucket.put("app/v1.0.0/app_linux_amd64.tar.gz", b"")
    async with Front(url()) as front:
        registry = bucket.url(
            "app", "?artifact=app_linux_amd64.tar.gz", endpoint=front.url
        )
        status, printed = await asyncio.to_thread(
            checked, tmp_path, "--registry", registry, **bucket.environment
        )

    assert (0, 2) == (status, len(front.seen)), printed


@pytest.mark.parametrize(
    ("url", "missing", "extra"),
    [("s3://eu-central-1/releases", "boto3", "s3"), ("gs://releases", "google", "gcs")],
)
def test_missing_extra_is_named(url: str, missing: str, extra: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
from dewy.caches import CACHES
from dewy.errors import ImplementationUnavailable
try:
    CACHES.open({url!r}, None)
except ImplementationUnavailable as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert f"pip install 'dewy[{extra}]'" in done.stdout, done.stderr
