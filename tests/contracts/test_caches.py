"""What every cache has to do, whatever its scheme. Each here is of 1 MB."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from dewy.caches import Cache
from tests.contracts.cases import CACHE_CASES, LIMITED

SCOPE = "0123456789abcdef"
KEY = f"{SCOPE}/v1.0.0--app.tar.gz"
CONTENT = os.urandom(400_000)


@pytest.fixture(params=CACHE_CASES)
async def cache(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cache]:
    async with CACHE_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(LIMITED))
async def limited(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Cache]:
    async with CACHE_CASES[request.param](tmp_path) as made:
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
    limited: Cache, source: Callable[[], Path], tmp_path: Path
) -> None:
    """The limit is on what the files really take."""
    for name in ("a", "b"):
        await limited.store(f"{SCOPE}/{name}", source())
    await limited.load(f"{SCOPE}/a", tmp_path / "into")

    assert await limited.store(f"{SCOPE}/c", source())
    assert [f"{SCOPE}/a", f"{SCOPE}/c"] == await limited.keys()


async def test_retained_values_stay(limited: Cache, source: Callable[[], Path]) -> None:
    for name in ("a", "b"):
        await limited.store(f"{SCOPE}/{name}", source())
    limited.retain([f"{SCOPE}/a"])

    assert await limited.store(f"{SCOPE}/c", source())
    assert [f"{SCOPE}/a", f"{SCOPE}/c"] == await limited.keys()


async def test_file_that_would_evict_retained_files_is_not_stored(
    limited: Cache, source: Callable[[], Path]
) -> None:
    for name in ("a", "b"):
        await limited.store(f"{SCOPE}/{name}", source())
    limited.retain([f"{SCOPE}/a", f"{SCOPE}/b"])

    assert not await limited.store(f"{SCOPE}/c", source())
    assert [f"{SCOPE}/a", f"{SCOPE}/b"] == await limited.keys()


async def test_file_over_the_limit_is_not_kept_and_displaces_nothing(
    cache: Cache, source: Callable[[], Path], tmp_path: Path
) -> None:
    await cache.store(KEY, source())
    (tmp_path / "huge").write_bytes(bytes(1_000_001))

    assert not await cache.store(f"{SCOPE}/huge", tmp_path / "huge")
    assert [KEY] == await cache.keys()


async def test_replacing_a_value_needs_no_room_for_both(
    limited: Cache, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(900_000))
    limited.retain([KEY])

    assert await limited.store(KEY, tmp_path / "large")
    assert await limited.store(KEY, tmp_path / "large")


async def test_full_cache_refuses_small_values_loudly(
    limited: Cache, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(999_999))
    await limited.store(KEY, tmp_path / "large")
    limited.retain([KEY])

    with pytest.raises(OSError, match="full"):
        await limited.put(f"{SCOPE}/small", b"two")
