"""What every cache has to do, whatever its scheme. Each here is of 1 MB."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from dewy.caches import Cache, SharedCache, Versioned
from tests.contracts.cases import CACHE_CASES, UNBOUNDED

SCOPE = "0123456789abcdef"
KEY = f"{SCOPE}/v1.0.0--app.tar.gz"
CONTENT = os.urandom(400_000)


@pytest.fixture(params=CACHE_CASES)
async def cache(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cache]:
    async with CACHE_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=[name for name in CACHE_CASES if name not in UNBOUNDED])
async def bounded(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Cache]:
    """A cache that evicts."""
    async with CACHE_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=[name for name in CACHE_CASES if name not in {"file"}])
async def shared(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[SharedCache]:
    """A cache in which one of several hosts can be first."""
    async with CACHE_CASES[request.param](tmp_path) as made:
        assert isinstance(made, SharedCache)
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Callable[[], Path]:
    """Makes an artifact of 400 kB, and another, and another."""
    numbers = count()

    def make() -> Path:
        path = tmp_path / f"source{next(numbers)}"
        path.write_bytes(CONTENT)
        return path

    return make


async def test_value_comes_back(cache: Cache) -> None:
    await cache.put(KEY, b"value")

    assert b"value" == await cache.get(KEY)


async def test_unknown_key_is_nothing(cache: Cache, tmp_path: Path) -> None:
    assert await cache.get(KEY) is None
    assert not await cache.load(KEY, tmp_path / "into")
    assert not (tmp_path / "into").exists()
    await cache.delete(KEY)


async def test_put_replaces(cache: Cache) -> None:
    await cache.put(KEY, b"first, and longer")
    await cache.put(KEY, b"second")

    assert b"second" == await cache.get(KEY)


async def test_deleted_value_is_gone(cache: Cache) -> None:
    await cache.put(KEY, b"value")
    await cache.delete(KEY)

    assert await cache.get(KEY) is None
    assert [] == await cache.keys()


async def test_keys_are_listed_by_prefix(cache: Cache) -> None:
    for name in (f"{SCOPE}/b", f"{SCOPE}/a", f"{SCOPE}/ab", "0000000000000000/a"):
        await cache.put(name, b"")

    assert [f"{SCOPE}/a", f"{SCOPE}/ab"] == await cache.keys(f"{SCOPE}/a")
    assert 4 == len(await cache.keys())


async def test_file_comes_back(
    cache: Cache, source: Callable[[], Path], tmp_path: Path
) -> None:
    """The file that was stored may go meanwhile."""
    assert await cache.store(KEY, source())
    (tmp_path / "source0").unlink()
    assert await cache.load(KEY, tmp_path / "into")

    assert CONTENT == (tmp_path / "into").read_bytes()


async def test_load_overwrites_nothing(
    cache: Cache, source: Callable[[], Path], tmp_path: Path
) -> None:
    await cache.store(KEY, source())
    (tmp_path / "into").write_bytes(b"precious")

    with pytest.raises(FileExistsError):
        await cache.load(KEY, tmp_path / "into")

    assert b"precious" == (tmp_path / "into").read_bytes()


async def test_storing_the_same_file_again_changes_nothing(
    cache: Cache, source: Callable[[], Path]
) -> None:
    path = source()

    assert await cache.store(KEY, path)
    assert await cache.store(KEY, path)

    assert [KEY] == await cache.keys()


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "..", "../a", "a/../b", ".", "./a", ".a", "a/.b", "a\0b"],
)
async def test_key_outside_the_cache_is_refused(cache: Cache, key: str) -> None:
    """Whatever a registry calls its tags, nothing is touched outside."""
    with pytest.raises(ValueError, match="illegal"):
        await cache.get(key)
    with pytest.raises(ValueError, match="illegal"):
        await cache.put(key, b"")
    with pytest.raises(ValueError, match="illegal"):
        await cache.delete(key)


async def test_longest_unused_leaves_first(
    bounded: Cache, source: Callable[[], Path], tmp_path: Path
) -> None:
    """The limit is on what the files really take."""
    for name in ("a", "b"):
        await bounded.store(f"{SCOPE}/{name}", source())
    await bounded.load(f"{SCOPE}/a", tmp_path / "into")

    assert await bounded.store(f"{SCOPE}/c", source())
    assert [f"{SCOPE}/a", f"{SCOPE}/c"] == await bounded.keys()


async def test_retained_values_stay(bounded: Cache, source: Callable[[], Path]) -> None:
    for name in ("a", "b"):
        await bounded.store(f"{SCOPE}/{name}", source())
    bounded.retain([f"{SCOPE}/a"])

    assert await bounded.store(f"{SCOPE}/c", source())
    assert [f"{SCOPE}/a", f"{SCOPE}/c"] == await bounded.keys()


async def test_what_would_displace_retained_values_is_not_kept(
    bounded: Cache, source: Callable[[], Path]
) -> None:
    for name in ("a", "b"):
        await bounded.store(f"{SCOPE}/{name}", source())
    bounded.retain([f"{SCOPE}/a", f"{SCOPE}/b"])

    assert not await bounded.store(f"{SCOPE}/c", source())
    assert [f"{SCOPE}/a", f"{SCOPE}/b"] == await bounded.keys()


async def test_file_over_the_limit_is_not_kept_and_displaces_nothing(
    cache: Cache, source: Callable[[], Path], tmp_path: Path
) -> None:
    await cache.store(KEY, source())
    (tmp_path / "huge").write_bytes(bytes(1_000_001))

    assert not await cache.store(f"{SCOPE}/huge", tmp_path / "huge")
    assert [KEY] == await cache.keys()


async def test_replacing_a_value_needs_no_room_for_both(
    bounded: Cache, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(900_000))
    bounded.retain([KEY])

    assert await bounded.store(KEY, tmp_path / "large")
    assert await bounded.store(KEY, tmp_path / "large")


async def test_full_cache_refuses_small_values_loudly(
    bounded: Cache, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(999_999))
    await bounded.store(KEY, tmp_path / "large")
    bounded.retain([KEY])

    with pytest.raises(OSError, match="full"):
        await bounded.put(f"{SCOPE}/small", b"two")


async def first(shared: SharedCache) -> Versioned:
    """Write a first value, and return it."""
    await shared.put(KEY, b"first")
    return await shared.read(KEY)


@pytest.mark.parametrize("there", [False, True])
async def test_one_of_64_writers_is_first(shared: SharedCache, there: bool) -> None:
    """Of those that saw the same version, or none, exactly one writes."""
    version = (await first(shared)).version if there else ""

    won = await asyncio.gather(
        *(shared.compare_and_set(KEY, version, b"%d" % n) for n in range(64))
    )

    assert 1 == sum(won)
    assert b"%d" % won.index(True) == await shared.get(KEY)


async def test_version_differs_whenever_a_value_was_written(
    shared: SharedCache,
) -> None:
    before = await first(shared)

    assert b"first" == before.value
    assert await shared.compare_and_set(KEY, before.version, b"second")
    after = await shared.read(KEY)
    assert b"second" == after.value
    assert before.version != after.version
    assert not await shared.compare_and_set(KEY, before.version, b"third")


async def test_value_that_is_not_there_has_no_version(shared: SharedCache) -> None:
    read = await shared.read(KEY)

    assert (None, "") == (read.value, read.version)


async def test_value_that_is_gone_is_not_the_version_it_was(
    shared: SharedCache,
) -> None:
    before = await first(shared)
    await shared.delete(KEY)

    assert not await shared.compare_and_set(KEY, before.version, b"second")
    assert await shared.compare_and_set(KEY, "", b"second")
    assert not await shared.compare_and_set(KEY, "", b"third")
