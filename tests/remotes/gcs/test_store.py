"""A bucket of a stand-in for Google's, through faults; the rest is in the contracts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.errors import ConfigError, RateLimited, RemoteError
from dewy.remotes.download import Interrupted
from dewy.remotes.gcs import store as module
from dewy.remotes.gcs.store import GCSStore
from dewy.remotes.objects import Objects
from tests.standins.files import Fault
from tests.standins.front import Front
from tests.standins.gcs_bucket import GCSBucket
from tests.standins.serving import served

MIB = 1 << 20


@pytest.fixture
async def bucket() -> GCSBucket:
    return await asyncio.to_thread(GCSBucket)


@pytest.fixture
async def front(
    bucket: GCSBucket, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Front]:
    async with Front(served("tests.standins.gcs")) as front:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url)
        yield front


@pytest.fixture
async def store(bucket: GCSBucket, front: Front) -> AsyncIterator[GCSStore]:
    store = await asyncio.to_thread(GCSStore, bucket.name)
    yield store
    await asyncio.to_thread(store.close)


async def test_errors_of_writes_surface(store: GCSStore, front: Front) -> None:
    """An empty object too is only written when Google says so."""
    front.faults.append(Fault(403))

    with pytest.raises(RemoteError, match="403"):
        await asyncio.to_thread(store.put, "key", b"", "text/plain")


async def test_nothing_is_tried_twice_behind_our_back(
    store: GCSStore, front: Front
) -> None:
    front.faults += [Fault(429, {"Retry-After": "9"})] * 2

    with pytest.raises(RateLimited) as caught:
        await asyncio.to_thread(store.page, "", "/", "")

    assert 9.0 == caught.value.retry_after
    assert 1 == len(front.seen)


async def test_clock_of_the_store_is_told(store: GCSStore) -> None:
    await asyncio.to_thread(store.put, "key", b"value", "text/plain")

    content = await asyncio.to_thread(store.read, "key", 5)

    assert content is not None
    assert content.now is not None
    assert content.now > 1_600_000_000


async def test_small_object_that_is_not_small_is_refused(store: GCSStore) -> None:
    await asyncio.to_thread(store.put, "key", b"value", "text/plain")

    with pytest.raises(RemoteError, match="larger than 4 bytes"):
        await asyncio.to_thread(store.read, "key", 4)


async def test_connection_cut_inside_a_piece_is_an_interruption(
    store: GCSStore, bucket: GCSBucket, front: Front
) -> None:
    bucket.put("key", bytes(MIB))
    stat = await asyncio.to_thread(store.stat, "key")
    assert stat is not None
    front.faults.append(Fault(after=1000, then="cut"))

    with pytest.raises(Interrupted):
        await asyncio.to_thread(store.piece, stat, 0, MIB)

    assert bytes(10) == await asyncio.to_thread(store.piece, stat, 5, 10)


async def test_piece_of_another_version_is_not_taken(
    store: GCSStore, bucket: GCSBucket
) -> None:
    bucket.put("key", b"first")
    stat = await asyncio.to_thread(store.stat, "key")
    assert stat is not None
    bucket.put("key", b"other")

    with pytest.raises(RemoteError, match="replaced"):
        await asyncio.to_thread(store.piece, stat, 0, 5)


async def test_listing_goes_over_more_than_one_page(
    store: GCSStore, bucket: GCSBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    names = [f"v1.0.{n}" for n in range(5)]
    for name in names:
        bucket.put(f"{name}/a", b"")

    assert names == await Objects(store).folders("")
    assert [f"{name}/a" for name in names] == [
        stat.key for stat in await Objects(store).objects("")
    ]


async def test_emulator_may_be_named_without_its_scheme(
    front: Front, bucket: GCSBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url.removeprefix("http://"))
    store = await asyncio.to_thread(GCSStore, bucket.name)

    assert () == (await asyncio.to_thread(store.page, "", "", "")).objects
    await asyncio.to_thread(store.close)


async def test_netrc_replaces_no_token(
    store: GCSStore, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it says of all hosts is not for Google."""
    (tmp_path / "netrc").write_text("default login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    await asyncio.to_thread(store.page, "", "", "")

    assert [""] == front.authorized


async def test_key_file_that_is_none_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none"))

    with pytest.raises(ConfigError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        await asyncio.to_thread(GCSStore, "releases")


async def test_credentials_may_appear_later(
    bucket: GCSBucket, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of a host come from a server, which may not answer at boot."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    store = await asyncio.to_thread(GCSStore, bucket.name)
    with pytest.raises(RemoteError, match="no credentials"):
        await asyncio.to_thread(store.page, "", "", "")

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url)
    assert () == (await asyncio.to_thread(store.page, "", "", "")).objects
    await asyncio.to_thread(store.close)
