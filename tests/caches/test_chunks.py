"""A file in a store of small values is whole, or it is not there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.caches import Cache
from dewy.caches.chunks import ChunkedCache
from dewy.caches.consul import CHUNK, ConsulStore
from dewy.errors import RemoteError
from tests.contracts.shared_cases import entered, opens
from tests.eventually import eventually
from tests.standins.consul import Consul, serving

SCOPE = "0123456789abcdef"
KEY = f"{SCOPE}/v1.0.0--app.tar.gz"
CONTENT = os.urandom(3 * CHUNK + 7)


@pytest.fixture
def consul() -> Consul:
    return Consul()


@pytest.fixture
async def url(consul: Consul) -> AsyncIterator[str]:
    async with serving(consul) as port:
        yield f"consul://127.0.0.1:{port}/app"


@pytest.fixture
async def cache(url: str, tmp_path: Path) -> AsyncIterator[Cache]:
    (tmp_path / "source").write_bytes(CONTENT)
    async with entered(opens(url), tmp_path / "one") as opened:
        yield opened


@pytest.fixture
async def other(url: str, tmp_path: Path) -> AsyncIterator[ChunkedCache]:
    """Another host, with nothing on its own disk."""
    async with entered(opens(url), tmp_path / "other") as opened:
        assert isinstance(opened, ChunkedCache)
        yield opened


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: bytes([value[0] ^ 1]) + value[1:],
        lambda value: value[:-1],
        lambda value: b"",
    ],
    ids=["flipped", "torn", "empty"],
)
async def test_damaged_chunk_is_seen_and_its_file_is_gone_until_written_anew(
    cache: Cache, other: Cache, consul: Consul, tmp_path: Path, damage: object
) -> None:
    await cache.store(KEY, tmp_path / "source")
    whole = dict(consul.rows)
    assert consul.damage("app/chunk/", damage)  # type: ignore[arg-type]

    assert not await other.load(KEY, tmp_path / "into")
    assert not (tmp_path / "into").exists()
    assert b"{}" == consul.rows[f"app/file/{KEY}"].value
    assert await cache.store(KEY, tmp_path / "source")
    assert whole.keys() == consul.rows.keys()
    assert await other.load(KEY, tmp_path / "into")
    assert CONTENT == (tmp_path / "into").read_bytes()


async def test_evicted_chunk_is_seen(
    cache: Cache, other: Cache, consul: Consul, tmp_path: Path
) -> None:
    await cache.store(KEY, tmp_path / "source")
    del consul.rows[next(key for key in consul.rows if "/chunk/" in key)]

    assert not await other.load(KEY, tmp_path / "into")
    assert not (tmp_path / "into").exists()


async def test_writer_that_is_killed_half_way_leaves_nothing_to_read(
    cache: Cache, other: ChunkedCache, consul: Consul, tmp_path: Path
) -> None:
    """And what it left goes after a while."""
    consul.stalls_after = 2
    storing = asyncio.create_task(cache.store(KEY, tmp_path / "source"))
    await eventually(lambda: consul.puts == 2)
    storing.cancel()
    await asyncio.wait({storing})

    assert not [key for key in consul.rows if key.startswith("app/file/")]
    assert not await other.load(KEY, tmp_path / "into")
    await other.tend()
    assert consul.rows
    consul.age(4000)
    await other.tend()
    assert {} == consul.rows


async def test_local_copy_spares_the_store_and_is_checked(
    cache: Cache, consul: Consul, tmp_path: Path
) -> None:
    await cache.store(KEY, tmp_path / "source")
    chunks = {key: row for key, row in consul.rows.items() if "/chunk/" in key}
    for key in chunks:
        del consul.rows[key]
    assert await cache.load(KEY, tmp_path / "first")
    consul.rows |= chunks
    copies = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    for copy in copies:
        copy.unlink()
        copy.write_bytes(b"something else")

    assert 1 == len(copies)
    assert await cache.load(KEY, tmp_path / "second")
    assert CONTENT == (tmp_path / "second").read_bytes()


async def test_retained_file_stays_and_another_goes(
    cache: Cache, other: ChunkedCache, consul: Consul, tmp_path: Path
) -> None:
    """After its time; the manifest of what stays says that it was wanted lately."""
    for tag in ("v1.0.0", "v2.0.0"):
        await cache.store(f"{SCOPE}/{tag}--app", tmp_path / "source")
        await cache.put(f"{SCOPE}/{tag}--app.json", b"{}")
    consul.age(31 * 86400)
    other.retain([f"{SCOPE}/v2.0.0--app", f"{SCOPE}/v2.0.0--app.json"])

    await other.tend()
    await other.tend()

    assert [f"{SCOPE}/v2.0.0--app", f"{SCOPE}/v2.0.0--app.json"] == await other.keys()
    assert await other.load(f"{SCOPE}/v2.0.0--app", tmp_path / "into")
    assert not [key for key in consul.rows if "v1.0.0" in key]
    # Nobody retains it any more, but somebody did a moment ago.
    other.retain([])
    await other.tend()
    assert 2 == len(await other.keys())


async def test_file_over_the_limit_is_left_out_and_that_is_said_once(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "source").write_bytes(bytes(1001))
    async with entered(opens(f"{url}?max-artifact=1000"), tmp_path / "a") as cache:
        assert not await cache.store(KEY, tmp_path / "source")
        assert not await cache.store(KEY, tmp_path / "source")

    assert 1 == len([r for r in caplog.records if "max-artifact" in r.getMessage()])


async def test_value_larger_than_chunk_is_refused(cache: Cache) -> None:
    with pytest.raises(OSError, match="more than"):
        await cache.put("key", bytes(CHUNK + 1))


async def test_replaced_file_leaves_no_chunks_behind(
    cache: Cache, consul: Consul, tmp_path: Path
) -> None:
    await cache.store(KEY, tmp_path / "source")
    (tmp_path / "source").write_bytes(b"short")
    await cache.store(KEY, tmp_path / "source")

    assert 1 == len([key for key in consul.rows if "/chunk/" in key])


async def test_retaining_is_told_to_the_store_soon(
    cache: Cache, consul: Consul, tmp_path: Path
) -> None:
    """Not only when the hour is over."""
    await cache.store(KEY, tmp_path / "source")
    consul.age(20 * 86400)
    old = consul.rows["app/file/" + KEY].flags
    cache.retain([KEY])

    await eventually(lambda: consul.rows["app/file/" + KEY].flags > old)


async def test_manifest_that_cannot_be_read_is_none(
    cache: Cache, consul: Consul, tmp_path: Path
) -> None:
    await cache.store(KEY, tmp_path / "source")
    row = consul.rows["app/file/" + KEY]
    consul.rows[row.key] = replace(row, value=b"{")

    assert not await cache.load(KEY, tmp_path / "into")


async def test_store_that_refuses_is_a_remote_error(
    cache: Cache, consul: Consul, tmp_path: Path
) -> None:
    """Nothing of the file counts then."""
    consul.refusing = 500

    with pytest.raises(RemoteError, match="refused"):
        await cache.store(KEY, tmp_path / "source")
    assert not await cache.load(KEY, tmp_path / "into")


async def test_upkeep_continues_after_an_unexpected_error(
    other: ChunkedCache,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def tend(store: ConsulStore, retained: object) -> None:
        raise KeyError("Flags")

    def rounds() -> int:
        return caplog.messages.count("Cache upkeep ran into a fault")

    monkeypatch.setattr(ConsulStore, "tend", tend)
    for number in (1, 2):
        other.retain([])
        await eventually(lambda expected=number: expected == rounds())
