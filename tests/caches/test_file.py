"""What is particular about the cache in a directory; the rest is its contract."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from dewy.caches import CACHES
from dewy.caches.disk import install
from dewy.caches.file import FileCache
from dewy.errors import ConfigError

SCOPE = "0123456789abcdef"
KEY = f"{SCOPE}/v1.0.0--app"


class Open(Protocol):
    def __call__(self, directory: Path, query: str = "") -> FileCache: ...


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        def opened(directory: Path, query: str = "") -> FileCache:
            cache = CACHES.open(f"{directory.as_uri()}{query}", directory / "unused")
            assert isinstance(cache, FileCache)
            stack.push_async_exit(cache)
            return cache

        yield opened


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def artifact(directory: Path) -> Path:
    """Another file of 400 bytes each time."""
    path = directory / f"source-{uuid.uuid4().hex}"
    path.write_bytes(bytes(400))
    return path


async def test_directory_is_created_by_the_first_write(
    tmp_path: Path, opened: Open
) -> None:
    """Looking creates nothing, and a directory that is missing is no error."""
    cache = opened(tmp_path / "cache")
    await cache.get(KEY)
    await cache.load(KEY, tmp_path / "into")
    await cache.delete(KEY)
    await cache.keys()
    await cache.keys(f"{SCOPE}/")
    assert {} == files(tmp_path)
    assert not (tmp_path / "cache").exists()

    await cache.put(KEY, b"value")

    assert {f"cache/{KEY}": b"value"} == files(tmp_path)
    assert 0o700 == (tmp_path / "cache").stat().st_mode & 0o777


def test_url_without_a_path_means_the_default_directory(tmp_path: Path) -> None:
    cache = CACHES.open("file://?max-size=1GiB", tmp_path / ".dewy" / "cache")

    assert f"<FileCache {tmp_path}/.dewy/cache>" == repr(cache)


def test_path_may_hold_any_character(tmp_path: Path, opened: Open) -> None:
    directory = tmp_path / "a b%20#?"

    assert directory == opened(directory).directory


def test_unknown_option_error_suggests_similar_option(
    tmp_path: Path, opened: Open
) -> None:
    with pytest.raises(ConfigError, match="max-size"):
        opened(tmp_path, "?maxsize=1GiB")


def test_registry_ttl_of_the_original_is_accepted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, opened: Open
) -> None:
    opened(tmp_path, "?registry-ttl=30s")

    assert ["Ignored registry-ttl: a file cache serves one host only"] == [
        record.getMessage() for record in caplog.records
    ]


async def test_file_is_shared_not_copied(tmp_path: Path, opened: Open) -> None:
    """A cached artifact costs no second gigabyte on the same filesystem."""
    source = tmp_path / "source"
    source.write_bytes(b"artifact")
    cache = opened(tmp_path / "cache")

    await cache.store(KEY, source)
    await cache.load(KEY, tmp_path / "into")

    assert source.samefile(tmp_path / "into")


async def test_oversized_artifact_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, opened: Open
) -> None:
    (tmp_path / "source").write_bytes(bytes(1001))
    cache = opened(tmp_path / "cache", "?max-size=1000")

    for _ in range(3):
        assert not await cache.store(KEY, tmp_path / "source")

    assert 1 == len([r for r in caplog.records if r.levelno == logging.WARNING])


async def test_size_limit_includes_values_of_other_instances(
    tmp_path: Path, opened: Open
) -> None:
    """Two roots may share a directory; together they stay below the limit."""
    one = opened(tmp_path / "cache", "?max-size=1000")
    other = opened(tmp_path / "cache", "?max-size=1000")

    await one.store(f"{SCOPE}/a", artifact(tmp_path))
    await other.store(f"{SCOPE}/b", artifact(tmp_path))
    await one.store(f"{SCOPE}/c", artifact(tmp_path))

    assert [f"{SCOPE}/b", f"{SCOPE}/c"] == await one.keys()


async def test_files_of_others_are_never_evicted(tmp_path: Path, opened: Open) -> None:
    """A cache that is put where something else lives destroys none of it."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(bytes(5000))
    (tmp_path / "v0.9.0--app").write_bytes(bytes(5000))
    cache = opened(tmp_path, "?max-size=1000")

    for name in "abcd":
        await cache.store(f"{SCOPE}/{name}", artifact(tmp_path))

    left = {name for name in files(tmp_path) if not name.startswith("source-")}
    assert {"precious/file", "v0.9.0--app", f"{SCOPE}/c", f"{SCOPE}/d"} == left


async def test_reading_keeps_a_value_from_eviction(
    tmp_path: Path, opened: Open
) -> None:
    cache = opened(tmp_path / "cache", "?max-size=1000")
    for name in "ab":
        await cache.store(f"{SCOPE}/{name}", artifact(tmp_path))
        os.utime(tmp_path / "cache" / SCOPE / name, (time.time() - 60,) * 2)

    await cache.get(f"{SCOPE}/a")
    await cache.store(f"{SCOPE}/c", artifact(tmp_path))

    assert [f"{SCOPE}/a", f"{SCOPE}/c"] == await cache.keys()


async def test_value_is_as_young_as_its_writing(tmp_path: Path, opened: Open) -> None:
    """However old the file is that was stored."""
    cache = opened(tmp_path / "cache", "?max-size=1000")
    await cache.store(f"{SCOPE}/a", artifact(tmp_path))
    old = artifact(tmp_path)
    os.utime(old, (1000, 1000))
    await cache.store(f"{SCOPE}/b", old)

    await cache.store(f"{SCOPE}/c", artifact(tmp_path))

    assert [f"{SCOPE}/b", f"{SCOPE}/c"] == await cache.keys()


async def test_unfinished_writes_of_others_count_toward_size_limit(
    tmp_path: Path, opened: Open
) -> None:
    (tmp_path / "cache" / SCOPE).mkdir(parents=True)
    (tmp_path / "cache" / SCOPE / ".theirs.tmp").write_bytes(bytes(700))
    cache = opened(tmp_path / "cache", "?max-size=1000")

    assert not await cache.store(KEY, artifact(tmp_path))


async def test_key_of_a_directory_holds_no_value(tmp_path: Path, opened: Open) -> None:
    cache = opened(tmp_path / "cache")
    await cache.put(KEY, b"value")

    assert await cache.get(SCOPE) is None
    assert not await cache.load(SCOPE, tmp_path / "into")
    assert await cache.get(f"{KEY}/below") is None


async def test_keys_outside_are_not_listed(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(ValueError, match="illegal"):
        await opened(tmp_path / "cache").keys("../")


async def test_concurrent_writes_stay_below_the_limit(
    tmp_path: Path, opened: Open
) -> None:
    cache = opened(tmp_path / "cache", "?max-size=1000")

    await asyncio.gather(
        *(cache.store(f"{SCOPE}/{name}", artifact(tmp_path)) for name in "abcdef")
    )

    assert 2 == len(await cache.keys())


async def test_reader_gets_old_value_until_replacement_completes(
    tmp_path: Path, opened: Open
) -> None:
    """A value is never truncated and written in place."""
    cache = opened(tmp_path / "cache")
    await cache.put(KEY, b"old")
    written, seen = threading.Event(), threading.Event()

    def fill(draft: Path) -> None:
        draft.write_bytes(b"n")
        written.set()
        assert seen.wait(10)
        draft.write_bytes(b"new")

    path = tmp_path / "cache" / KEY
    replacing = asyncio.create_task(asyncio.to_thread(install, path, fill))
    await asyncio.to_thread(written.wait, 10)
    assert b"old" == await cache.get(KEY)
    assert [KEY] == await cache.keys()
    seen.set()
    await replacing

    assert b"new" == await cache.get(KEY)
