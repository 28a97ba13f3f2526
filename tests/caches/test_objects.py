"""What is particular about caches in buckets; the rest is their contract."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.caches import objects
from dewy.caches.gs import ALLOWED as GS_ALLOWED
from dewy.caches.objects import CacheLimits, ObjectCache
from dewy.caches.s3 import ALLOWED as S3_ALLOWED
from dewy.errors import ConfigError, RemoteError
from dewy.remotes.download import Interrupted
from tests.standins.memory_objects import MemoryObjects

KEY = "0123456789abcdef/v1.0.0--app"
CONTENT = os.urandom(100_000)

CLOSED_IN_THE_END: list[ObjectCache] = []

Loaded = Callable[[], Path]


def cache(store: MemoryObjects, local: Path, query: str = "") -> ObjectCache:
    made = ObjectCache(store, limits(query), local)
    CLOSED_IN_THE_END.append(made)
    return made


def limits(query: str) -> CacheLimits:
    return CacheLimits.read(urlsplit(f"s3://a/b{query}"), S3_ALLOWED)


@pytest.fixture
async def store() -> AsyncIterator[MemoryObjects]:
    yield MemoryObjects("dewy")
    async with AsyncExitStack() as stack:
        while CLOSED_IN_THE_END:
            stack.push_async_exit(CLOSED_IN_THE_END.pop())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def into(tmp_path: Path) -> Loaded:
    """Another path each time."""
    numbers = count()
    return lambda: tmp_path / f"into{next(numbers)}"


async def test_values_stay_below_the_prefix(
    store: MemoryObjects, source: Path, tmp_path: Path
) -> None:
    made = cache(store, tmp_path / "local")
    await made.store(KEY, source)
    await made.put("value", b"value")
    store.put("elsewhere/value", b"", "")

    assert [f"dewy/{KEY}", "dewy/value", "elsewhere/value"] == sorted(store.content)
    assert [KEY, "value"] == await made.keys()


async def test_locally_stored_artifact_is_not_downloaded(
    store: MemoryObjects, source: Path, tmp_path: Path, into: Loaded
) -> None:
    made = cache(store, tmp_path / "local")
    await made.store(KEY, source)

    assert await made.load(KEY, path := into())
    assert CONTENT == path.read_bytes()
    assert [] == store.pieces


async def test_other_host_downloads_once(
    store: MemoryObjects, source: Path, tmp_path: Path, into: Loaded
) -> None:
    await cache(store, tmp_path / "local").store(KEY, source)
    other = cache(store, tmp_path / "other")

    for _ in range(3):
        assert await other.load(KEY, path := into())
        assert CONTENT == path.read_bytes()

    assert 1 == len(store.pieces)


async def test_copy_of_another_version_does_not_count(
    store: MemoryObjects, source: Path, tmp_path: Path, into: Loaded
) -> None:
    """Another host replaced it; neither is taken for the other."""
    made = cache(store, tmp_path / "local")
    await made.store(KEY, source)
    store.put(f"dewy/{KEY}", b"replaced", "")

    for _ in range(2):
        assert await made.load(KEY, path := into())
        assert b"replaced" == path.read_bytes()

    assert 1 == len(store.pieces)


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], b"\0" + CONTENT[1:]])
async def test_damaged_copy_is_downloaded_again(
    store: MemoryObjects, source: Path, tmp_path: Path, into: Loaded, damage: bytes
) -> None:
    made = cache(store, tmp_path / "local")
    await made.store(KEY, source)
    (tmp_path / "local" / KEY).unlink()
    (tmp_path / "local" / KEY).write_bytes(damage)

    for _ in range(2):
        assert await made.load(KEY, path := into())
        assert CONTENT == path.read_bytes()

    assert 1 == len(store.pieces)


async def test_host_without_room_does_without_a_copy(
    store: MemoryObjects, source: Path, tmp_path: Path, into: Loaded
) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    made = cache(store, tmp_path / "file" / "local")

    assert await made.store(KEY, source)
    assert await made.load(KEY, path := into())
    assert CONTENT == path.read_bytes()


async def test_copies_on_this_host_are_limited(
    store: MemoryObjects, source: Path, tmp_path: Path
) -> None:
    """The store keeps everything; what is retained stays here too."""
    made = cache(store, tmp_path / "local", "?max-size=201KB")
    await made.store(KEY, source)
    made.retain([KEY])
    for n in range(3):
        await made.store(f"{KEY}{n}", source)

    local = {p.name for p in (tmp_path / "local").rglob("*") if p.is_file()}
    assert {"v1.0.0--app", "v1.0.0--app.copied"} <= local
    assert 4 == len(await made.keys())
    assert 2 == sum(not name.endswith(".copied") for name in local)


async def test_deleted_value_leaves_no_copy(
    store: MemoryObjects, source: Path, tmp_path: Path, into: Loaded
) -> None:
    made = cache(store, tmp_path / "local")
    await made.store(KEY, source)
    await made.delete(KEY)

    assert not await made.load(KEY, into())
    assert [] == [p for p in (tmp_path / "local").rglob("*") if p.is_file()]


async def test_clock_and_version_are_those_of_the_store(
    store: MemoryObjects, tmp_path: Path
) -> None:
    made = cache(store, tmp_path / "local")
    await made.put("value", b"value")

    read = await made.read("value")

    assert (1.0, store.versions["dewy/value"]) == (read.now, read.version)


async def test_unavailable_store_raises_remote_error(
    store: MemoryObjects, source: Path, tmp_path: Path, into: Loaded
) -> None:
    made = cache(store, tmp_path / "local")
    store.fail("put", RemoteError("down"))
    store.fail("stat", RemoteError("down"))

    with pytest.raises(RemoteError, match="down"):
        await made.store(KEY, source)
    with pytest.raises(RemoteError, match="down"):
        await made.load(KEY, into())


async def test_download_that_is_too_slow_is_given_up(
    store: MemoryObjects,
    source: Path,
    tmp_path: Path,
    into: Loaded,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cache that is slow does not keep a deployment waiting."""
    await cache(store, tmp_path / "local").store(KEY, source)
    monkeypatch.setattr(objects, "TRANSFER", 0.3)
    monkeypatch.setattr(objects, "SLOWEST", 1 << 40)
    store.fail("piece", Interrupted("cut"))

    slow = cache(store, tmp_path / "other")
    with pytest.raises(RemoteError, match="did not answer in"):
        await slow.load(KEY, path := into())

    assert not path.exists()
    with pytest.raises(RemoteError, match="a moment ago"):
        await slow.get(KEY)


async def test_hanging_store_times_out_and_next_call_fails_fast(
    store: MemoryObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is then left alone for a while, whatever is wanted."""
    monkeypatch.setattr(objects, "CALL_TIMEOUT", 0.1)
    released = threading.Event()
    monkeypatch.setattr(store, "read", lambda *given: released.wait(30))
    made = cache(store, tmp_path / "local")
    with pytest.raises(RemoteError, match=r"did not answer in 0\.1 s"):
        await made.get(KEY)

    with pytest.raises(RemoteError, match="a moment ago"):
        await made.store(KEY, tmp_path)
    released.set()


async def test_leaving_the_cache_closes_the_store(
    store: MemoryObjects, tmp_path: Path
) -> None:
    async with cache(store, tmp_path / "local"):
        assert not store.closed

    assert store.closed


def test_options_are_read() -> None:
    read = limits("?registry-ttl=1m30s&max-artifact=32MiB&max-size=1GiB")

    assert (90.0, 32 << 20, "1GiB") == (read.registry_ttl, read.artifact, read.local)
    assert (0.0, None) == (limits("").registry_ttl, limits("").artifact)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?registry-ttl=-1s", "registry-ttl"),
        ("?max-artifact=lots", "max-artifact"),
        ("?max-size=0", "max-size"),
        ("?max-artefact=1MB", "did you mean max-artifact"),
    ],
)
def test_impossible_option_is_refused(query: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        limits(query)


def test_endpoint_is_an_option_of_s3_only() -> None:
    assert {"endpoint", "region"} == set(S3_ALLOWED) - set(GS_ALLOWED)
