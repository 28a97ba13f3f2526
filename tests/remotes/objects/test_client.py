"""An object store as the event loop sees it."""

from __future__ import annotations

import asyncio
import os
import threading
from functools import partial
from itertools import count
from pathlib import Path, PosixPath
from typing import Any

import pytest

from dewy.errors import AccessRefused, RateLimited, RemoteError
from dewy.remotes.download import Effort, Interrupted
from dewy.remotes.objects import ObjectPage, Objects, Stat, client
from tests.standins.memory_objects import MemoryObjects

MIB = 1 << 20


@pytest.fixture
def store() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def waits() -> list[float]:
    """Seconds waited between attempts, which take none here."""
    return []


@pytest.fixture
def objects(store: MemoryObjects, waits: list[float]) -> Objects:
    async def wait(seconds: float) -> None:
        waits.append(seconds)

    return Objects(store, Effort(attempts=3, wait=wait))


def ignore(done: int, total: int | None) -> None:
    pass


def stored(store: MemoryObjects, content: bytes) -> Stat:
    store.put("artifact", content, "")
    stat = store.stat("artifact")
    assert stat is not None
    return stat


async def test_listings_are_followed_to_their_last_page(
    store: MemoryObjects, objects: Objects
) -> None:
    names = [f"v1.0.{n}" for n in range(8)]
    for name in names:
        store.put(f"app/{name}/file", b"", "")

    assert names == await objects.folders("app/")
    assert 8 == len(await objects.objects("app/"))


async def test_interrupted_read_is_retried_once(
    store: MemoryObjects, objects: Objects
) -> None:
    store.put("key", b"value", "")
    store.fail("read", Interrupted("cut"))
    found = await objects.read("key", 10)
    assert found is not None
    assert b"value" == found.value

    store.fail("read", Interrupted("cut"), Interrupted("cut"))
    with pytest.raises(RemoteError, match="cut"):
        await objects.read("key", 10)


async def test_store_that_wants_to_be_left_alone_is(
    store: MemoryObjects, objects: Objects, waits: list[float]
) -> None:
    store.fail("read", Interrupted("busy", retry_after=30.0))

    with pytest.raises(RemoteError) as caught:
        await objects.read("key", 10)

    assert 30.0 == caught.value.retry_after
    assert [] == waits


@pytest.mark.parametrize("came_through", [False, True])
async def test_condition_is_not_judged_by_an_answer_that_was_lost(
    store: MemoryObjects,
    objects: Objects,
    monkeypatch: pytest.MonkeyPatch,
    came_through: bool,
) -> None:
    """The first attempt may have succeeded; its own success is no defeat."""
    put_if, tries = store.put_if, count(1)

    def cut(key: str, value: bytes, version: str) -> str | None:
        if next(tries) > 1:
            return put_if(key, value, version)
        if came_through:
            put_if(key, value, version)
        raise Interrupted("cut")

    monkeypatch.setattr(store, "put_if", cut)

    assert store.versions.get("key") is None
    assert await objects.put_if("key", b"mine", "") == store.versions["key"]
    assert 2 + (not came_through) == next(tries)


async def test_interrupted_conditional_write_reports_conflict_or_error(
    store: MemoryObjects, objects: Objects
) -> None:
    """While the answer was lost; and a store that stays away is an error."""
    store.put("key", b"theirs", "")
    store.fail("put_if", Interrupted("cut"))
    assert await objects.put_if("key", b"mine", "") is None

    store.fail("put_if", Interrupted("cut"), Interrupted("cut"))
    with pytest.raises(RemoteError, match="cut"):
        await objects.put_if("key", b"mine", store.versions["key"])


async def test_answer_that_does_not_come_is_an_error(
    store: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "DEADLINE", 0.05)
    ended = threading.Event()

    def hang(key: str) -> None:
        ended.wait(30.0)

    monkeypatch.setattr(store, "stat", hang)
    try:
        with pytest.raises(RemoteError, match="in time"):
            await Objects(store, Effort(wait=asyncio.sleep)).stat("key")
    finally:
        ended.set()


async def test_interrupted_download_resumes_at_offset(
    store: MemoryObjects, objects: Objects, tmp_path: Path, waits: list[float]
) -> None:
    content = os.urandom(4 * MIB)
    stat = stored(store, content)
    store.fail("piece", Interrupted("cut"), Interrupted("cut"))

    await objects.download(stat, tmp_path / "into", ignore)

    assert content == (tmp_path / "into").read_bytes()
    assert [0, 0, 0, MIB, 3 * MIB] == [offset for offset, _ in store.pieces]
    assert [0.5, 1.0] == waits


@pytest.mark.parametrize("stated", [None, 7.0])
async def test_busy_store_throws_no_download_away(
    store: MemoryObjects,
    objects: Objects,
    tmp_path: Path,
    waits: list[float],
    stated: float | None,
) -> None:
    """What has arrived stays, and the store is left alone as long as it asks."""
    content = os.urandom(2 * MIB)
    stat = stored(store, content)

    def busy(done: int, total: int | None) -> None:
        if done == MIB:
            store.fail("piece", RateLimited("SlowDown", retry_after=stated))

    await objects.download(stat, tmp_path / "into", busy)

    assert content == (tmp_path / "into").read_bytes()
    assert [0, MIB, MIB] == [offset for offset, _ in store.pieces]
    assert [stated or 0.5] == waits


async def test_busy_store_throws_no_small_file_away(
    store: MemoryObjects, objects: Objects, waits: list[float]
) -> None:
    """As of a checksum, for which the artifact would be fetched again."""
    store.put("key", b"value", "")
    store.fail("read", RateLimited("SlowDown", retry_after=7.0))

    found = await objects.patiently(partial(objects.read, "key", 10))

    assert found is not None
    assert b"value" == found.value
    assert [7.0] == waits


@pytest.mark.parametrize("step", ["upload", "write", "finish", "put"])
async def test_busy_store_throws_no_upload_away(
    store: MemoryObjects,
    objects: Objects,
    tmp_path: Path,
    waits: list[float],
    step: str,
) -> None:
    content = os.urandom(17 * MIB if step != "put" else 10)
    (tmp_path / "file").write_bytes(content)
    store.fail(step, RateLimited("SlowDown"))

    await objects.upload("key", tmp_path / "file")

    assert content == store.content["key"]
    assert 1 == len(waits)


@pytest.mark.parametrize("call", ["page", "stat", "read", "piece", "put", "write"])
async def test_refused_access_is_asked_for_once_more(
    store: MemoryObjects, objects: Objects, tmp_path: Path, call: str
) -> None:
    """Somebody may have renewed the credentials, which are read again then."""
    content = os.urandom(9 * MIB)
    (tmp_path / "file").write_bytes(content)
    store.fail(call, AccessRefused("ExpiredToken"))
    await objects.put("small", b"value")
    await objects.upload("key", tmp_path / "file")
    stat = await objects.stat("key")
    assert stat is not None
    await objects.download(stat, tmp_path / "into", ignore)
    found = await objects.read("small", 10)

    assert found is not None
    assert [stat] == await objects.objects("key")
    assert content == (tmp_path / "into").read_bytes()


async def test_access_that_stays_refused_is_an_error(
    store: MemoryObjects, objects: Objects, waits: list[float]
) -> None:
    store.fail("stat", *[AccessRefused("AccessDenied")] * 3)

    with pytest.raises(RemoteError, match="AccessDenied"):
        await objects.stat("key")
    assert 1 == len(store.faults["stat"])
    assert [] == waits


async def test_rate_limited_write_checks_for_conflict_before_retry(
    store: MemoryObjects, objects: Objects, waits: list[float]
) -> None:
    """A look tells the others, which do not write again."""
    store.put("key", b"theirs", "")
    store.fail("put_if", RateLimited("one write per second"))
    assert await objects.put_if("key", b"mine", "") is None
    assert [] == waits

    store.fail("put_if", RateLimited("one write per second"))
    version = await objects.put_if("key", b"mine", store.versions["key"])

    assert store.versions["key"] == version
    assert 1 == len(waits)


async def test_download_that_gains_nothing_is_given_up(
    store: MemoryObjects, objects: Objects, tmp_path: Path
) -> None:
    stat = stored(store, os.urandom(MIB))
    store.fail("piece", *[Interrupted("cut")] * 3)

    with pytest.raises(RemoteError, match="cut"):
        await objects.download(stat, tmp_path / "into", ignore)

    assert [] == os.listdir(tmp_path)


async def test_object_that_is_replaced_meanwhile_is_not_mixed(
    store: MemoryObjects, objects: Objects, tmp_path: Path
) -> None:
    stat = stored(store, os.urandom(4 * MIB))

    def replace(done: int, total: int | None) -> None:
        if done:
            store.put("artifact", os.urandom(4 * MIB), "")

    with pytest.raises(RemoteError, match="replaced"):
        await objects.download(stat, tmp_path / "into", replace)

    assert [] == os.listdir(tmp_path)


async def test_flipped_bit_on_the_way_is_found(
    store: MemoryObjects, objects: Objects, tmp_path: Path
) -> None:
    stat = stored(store, bytes(MIB))
    store.content["artifact"] = b"\x01" + bytes(MIB - 1)

    with pytest.raises(RemoteError, match="md5"):
        await objects.download(stat, tmp_path / "into", ignore)

    assert [] == os.listdir(tmp_path)


async def test_empty_object_arrives(
    store: MemoryObjects, objects: Objects, tmp_path: Path
) -> None:
    await objects.download(stored(store, b""), tmp_path / "into", ignore)

    assert b"" == (tmp_path / "into").read_bytes()


async def test_large_file_is_sent_in_pieces(
    store: MemoryObjects, objects: Objects, tmp_path: Path
) -> None:
    content = os.urandom(17 * MIB)
    (tmp_path / "file").write_bytes(content)

    version = await objects.upload("key", tmp_path / "file")

    assert store.versions["key"] == version
    assert content == store.content["key"]
    assert [8, 8, 1] == [len(piece) // MIB for piece in store.uploads[0].pieces]


@pytest.mark.parametrize("step", ["write", "finish"])
async def test_upload_that_fails_is_aborted_and_never_seen(
    store: MemoryObjects, objects: Objects, tmp_path: Path, step: str
) -> None:
    (tmp_path / "file").write_bytes(bytes(9 * MIB))
    store.fail(step, RemoteError("full"))

    with pytest.raises(RemoteError, match="full"):
        await objects.upload("key", tmp_path / "file")

    assert {} == store.content
    assert store.uploads[0].aborted


async def test_list_that_repeats_itself_is_refused(
    store: MemoryObjects, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens would lead on for ever."""
    follow = {"": "1", "1": "2", "2": "1"}
    monkeypatch.setattr(
        store, "page", lambda prefix, delimiter, more: ObjectPage((), (), follow[more])
    )

    with pytest.raises(RemoteError, match="lists its objects in circles"):
        await objects.objects("")


async def test_file_that_cannot_be_opened_begins_no_upload(
    store: MemoryObjects, objects: Objects, tmp_path: Path
) -> None:
    """Nothing of it would be left to abort."""

    class Unreadable(PosixPath):
        def open(self, *args: Any, **kwargs: Any) -> Any:
            raise PermissionError

    (tmp_path / "file").write_bytes(bytes(9 * MIB))

    with pytest.raises(PermissionError):
        await objects.upload("key", Unreadable(tmp_path / "file"))

    assert [] == store.uploads


async def test_upload_that_takes_too_long_is_aborted(
    store: MemoryObjects,
    objects: Objects,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "DEADLINE", 0.3)
    monkeypatch.setattr(client, "SLOWEST", 1 << 40)
    (tmp_path / "file").write_bytes(bytes(9 * MIB))
    slow = threading.Event()
    upload = store.upload

    def begin(key: str, size: int) -> object:
        made = upload(key, size)
        monkeypatch.setattr(made, "write", lambda piece: slow.wait(0.6))
        return made

    monkeypatch.setattr(store, "upload", begin)
    with pytest.raises(RemoteError, match="key was uploaded too slowly"):
        await objects.upload("key", tmp_path / "file")

    assert store.uploads[0].aborted


async def test_store_is_closed_with_its_block(store: MemoryObjects) -> None:
    async with Objects.opened(store):
        assert not store.closed
    assert store.closed
