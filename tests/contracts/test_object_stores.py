"""What every object store has to do, through faults."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.remotes.download import Interrupted
from dewy.remotes.objects import Objects
from dewy.remotes.objects import gcs as gcs_store
from dewy.remotes.objects import s3 as s3_store
from tests.contracts.object_cases import BUCKETS, StoreCase, object_store
from tests.standins.files import Fault

MIB = 1 << 20


@pytest.fixture(params=BUCKETS)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[StoreCase]:
    async with object_store(request.param) as made:
        yield made


async def test_nothing_is_tried_twice_behind_our_back(case: StoreCase) -> None:
    case.front.faults += [case.busy] * 2

    with pytest.raises(RateLimited) as caught:
        await asyncio.to_thread(case.store.page, "", "/", "")

    assert 9.0 == caught.value.retry_after
    assert 1 == len(case.front.seen)


async def test_clock_of_the_store_is_told(case: StoreCase) -> None:
    await asyncio.to_thread(case.store.put, "key", b"value", "text/plain")

    content = await asyncio.to_thread(case.store.read, "key", 5)

    assert content is not None
    assert content.now is not None
    assert content.now > 1_600_000_000


async def test_small_object_that_is_not_small_is_refused(case: StoreCase) -> None:
    await asyncio.to_thread(case.store.put, "key", b"value", "text/plain")

    with pytest.raises(RemoteError, match="larger than 4 bytes"):
        await asyncio.to_thread(case.store.read, "key", 4)


async def test_conditional_put_after_delete_is_rejected(case: StoreCase) -> None:
    objects = Objects(case.store)
    version = await objects.put("key", b"value")
    await objects.delete("key")

    assert await objects.put_if("key", b"value", version) is None


async def test_connection_cut_inside_a_piece_is_an_interruption(
    case: StoreCase,
) -> None:
    case.bucket.put("key", bytes(MIB))
    stat = await asyncio.to_thread(case.store.stat, "key")
    assert stat is not None
    case.front.faults.append(Fault(after=1000, then="cut"))

    with pytest.raises(Interrupted):
        await asyncio.to_thread(case.store.piece, stat, 0, MIB)

    assert bytes(10) == await asyncio.to_thread(case.store.piece, stat, 5, 10)


async def test_slow_download_is_completed_from_partial_reads(
    case: StoreCase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A line that flows is not cut, however slow it is."""
    for module in (s3_store, gcs_store):
        monkeypatch.setattr(module, "HASTE", -1.0)
    content = os.urandom(100_000)
    case.bucket.put("key", content)
    stat = await asyncio.to_thread(case.store.stat, "key")
    assert stat is not None
    part = await asyncio.to_thread(case.store.piece, stat, 10, 90_000)
    await Objects(case.store).download(stat, tmp_path / "into", lambda *told: None)

    assert 0 < len(part) < 90_000
    assert content[10:].startswith(part)
    assert content == (tmp_path / "into").read_bytes()


async def test_piece_of_another_version_is_not_taken(case: StoreCase) -> None:
    case.bucket.put("key", b"first")
    stat = await asyncio.to_thread(case.store.stat, "key")
    assert stat is not None
    case.bucket.put("key", b"other")

    with pytest.raises(RemoteError, match="replaced"):
        await asyncio.to_thread(case.store.piece, stat, 0, 5)


async def test_listing_over_several_pages_is_complete(
    case: StoreCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.two_a_page(monkeypatch)
    names = [f"v1.0.{n}" for n in range(5)]
    for name in names:
        case.bucket.put(f"{name}/a", b"")
    objects = Objects(case.store)

    assert names == await objects.folders("")
    found = [stat.key for stat in await objects.objects("")]
    assert [f"{name}/a" for name in names] == found
    assert 6 == len(case.front.seen)


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"[1, 2]", b""])
async def test_server_of_something_else_is_a_remote_error(
    case: StoreCase, body: bytes, tmp_path: Path
) -> None:
    """A page in which one logs in, say; whatever was asked."""
    large = tmp_path / "large"
    large.write_bytes(bytes(9 * MIB))
    objects = Objects(case.store)
    case.front.faults += [Fault(status=200, body=body)] * 50

    for call in (
        lambda: objects.stat("key"),
        lambda: objects.read("key", MIB),
        lambda: objects.put("key", b"value"),
        lambda: objects.put_if("key", b"value", ""),
        lambda: objects.upload("key", large),
    ):
        with pytest.raises(RemoteError) as caught:
            await call()
        assert str(case.store) in str(caught.value)
