"""An artifact comes to this host once, whole and verified, or not at all."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from dewy.artifacts import Progress
from dewy.deploy.fetch import Fetcher, scope
from dewy.errors import ChecksumError, DeploymentError, RemoteError
from dewy.release import Release
from dewy.remotes import Clients
from tests.deploy.fetching import CONTENT, DIGEST, FILE, Host
from tests.standins.files import FileServer


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path) as made:
        made.store.publish("v1.0.0", {FILE: CONTENT})
        yield made


async def test_artifact_is_staged_under_its_own_name(host: Host) -> None:
    """Its ending says how to unpack it; nothing stays when the block ends."""
    async with host.fetcher.staged(await host.current()) as path:
        assert FILE == path.name
        assert host.staging == path.parent.parent
        assert CONTENT == await asyncio.to_thread(path.read_bytes)

    assert [] == os.listdir(host.staging)


async def test_same_bytes_are_fetched_once(host: Host) -> None:
    release = await host.current()
    await host.fetch(release)
    host.unplug()

    assert CONTENT == await host.fetch(release)


async def test_artifact_pushed_again_under_its_tag_is_fetched_again(
    host: Host,
) -> None:
    """A mutable tag does not bring back what it used to mean."""
    await host.fetch(await host.current())
    host.store.publish("v1.0.0", {FILE: b"another"})

    assert b"another" == await host.fetch(await host.current())
    host.unplug()
    assert b"another" == await host.fetch(await host.current())


async def test_nothing_unverified_enters_the_cache(host: Host) -> None:
    host.store.publish("v1.0.0", {FILE: CONTENT, f"{FILE}.sha256": b"0" * 64})

    with pytest.raises(ChecksumError):
        await host.fetch(await host.current())

    assert [] == await host.cache.keys()
    assert [] == os.listdir(host.staging)


async def test_published_checksum_lets_an_artifact_in(host: Host) -> None:
    host.verify = "required"
    sums = f"{DIGEST[7:]}  {FILE}\n".encode()
    host.store.publish("v1.0.0", {FILE: CONTENT, "SHA256SUMS": sums})

    assert CONTENT == await host.fetch(await host.current())


async def test_checksum_beside_a_plain_url_is_asked_for(host: Host) -> None:
    """The registry that named the URL, as one of gRPC, lists no files."""
    host.verify = "required"
    async with FileServer() as server:
        release = Release("v1.0.0", f"{server.url}/v1/{FILE}", "one", files=None)
        server.files[f"/v1/{FILE}"] = CONTENT
        with pytest.raises(ChecksumError, match="no checksum is published"):
            await host.fetch(release)
        server.files["/v1/SHA256SUMS"] = f"{'0' * 64}  {FILE}\n".encode()
        with pytest.raises(ChecksumError, match="SHA256SUMS says 000"):
            await host.fetch(release)
        server.files["/v1/SHA256SUMS"] = f"{DIGEST[7:]}  {FILE}\n".encode()

        assert CONTENT == await host.fetch(release)


async def test_download_that_breaks_off_leaves_nothing(host: Host) -> None:
    host.store.fail("fetch", RemoteError("the wire was cut"))

    with pytest.raises(RemoteError, match="wire"):
        await host.fetch(await host.current())

    assert [] == os.listdir(host.staging)
    assert [] == await host.cache.keys()


async def test_deployment_that_fails_leaves_nothing_in_staging(host: Host) -> None:
    with pytest.raises(ZeroDivisionError):
        async with host.fetcher.staged(await host.current()):
            raise ZeroDivisionError

    assert [] == os.listdir(host.staging)


async def test_registries_that_share_a_cache_do_not_share_artifacts(
    host: Host, tmp_path: Path
) -> None:
    """Two applications may use the same tags and file names."""
    async with Host(tmp_path) as other:
        other.store.publish("v1.0.0", {FILE: b"of the other application"})
        await host.fetch(await host.current())

        assert b"of the other application" == await other.fetch(await other.current())
    assert CONTENT == await host.fetch(await host.current())


def test_scope_is_of_the_registry_however_its_options_are_ordered() -> None:
    assert "d90ce60e2fbbb0e5" == scope("ghr://o/r?a=1&b=2")
    assert "d90ce60e2fbbb0e5" == scope("ghr://o/r?b=2&a=1")
    assert "d90ce60e2fbbb0e5" != scope("ghr://o/r?a=1&b=3")


async def test_staging_left_by_killed_dewy_is_cleared(host: Host) -> None:
    await host.fetcher.clear()
    assert not host.staging.exists()
    (host.staging / "tmp123").mkdir(parents=True)
    (host.staging / "tmp123" / f"{FILE}.part").write_bytes(b"half")

    await host.fetcher.clear()

    assert not host.staging.exists()
    assert CONTENT == await host.fetch(await host.current())


async def test_staging_that_cannot_be_written_fails_the_deployment(
    host: Host, tmp_path: Path
) -> None:
    """With a reason, and as any other failure of a deployment."""
    (tmp_path / "staging").write_bytes(b"not a directory")

    with pytest.raises(DeploymentError, match="could not stage"):
        await host.fetch(await host.current())


async def test_memory_does_not_follow_the_size_of_an_artifact(
    host: Host, tmp_path: Path
) -> None:
    """Fetched, hashed and cached piece by piece; and so again from the cache."""
    path = tmp_path / FILE
    path.touch()
    os.truncate(path, 64 << 20)
    release = Release("v1.0.0", path.as_uri(), "one")
    host.cache = host.opened((tmp_path / "large").as_uri(), tmp_path)

    tracemalloc.start()
    try:
        for _ in range(2):
            async with host.fetcher.staged(release) as staged:
                assert 64 << 20 == os.stat(staged).st_size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 << 20


async def test_cancelled_fetch_leaves_nothing(host: Host) -> None:
    release = await host.current()
    begun = asyncio.Event()

    @contextmanager
    def shown(release: Release) -> Iterator[Progress]:
        yield lambda done, total: begun.set()

    fetcher = Fetcher(
        host.cache,
        Clients(),
        scope=scope(host.url),
        staging=host.staging,
        verify="auto",
        progress=shown,
    )

    async def fetch() -> None:
        async with fetcher.staged(release):
            await asyncio.Event().wait()

    fetching = asyncio.create_task(fetch())
    await asyncio.wait_for(begun.wait(), 10)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching

    assert [] == os.listdir(host.staging)


async def test_manifest_of_evicted_artifact_is_deleted(host: Host) -> None:
    """So that others see that it is to be fetched."""
    release = await host.current()
    await host.fetch(release)
    host.unplug()
    artifact = host.directory / f"v1.0.0--{FILE}"
    await asyncio.to_thread(artifact.unlink)

    async with host.fetcher.shelved(release) as path:
        assert path is None
    assert not await host.fetcher.has(release)


async def test_manifest_stays_where_the_cache_just_fails(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = await host.current()
    await host.fetch(release)

    async def fail(*given: object) -> NoReturn:
        raise RemoteError("the cache is slow")

    monkeypatch.setattr(host.cache, "load", fail)
    async with host.fetcher.shelved(release) as path:
        assert path is None
    assert await host.fetcher.has(release)


async def test_artifact_larger_than_the_free_space_is_not_begun(host: Host) -> None:
    """It filled the disk under the program that ran, again and again."""
    release = replace(await host.current(), size=1 << 60)

    with pytest.raises(DeploymentError, match=r"takes 1099511627776 MiB, .* MiB free"):
        await host.fetch(release)

    assert [] == await asyncio.to_thread(os.listdir, host.staging)
