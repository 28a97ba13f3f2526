"""What is particular about a cache in Redis, over a real server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from dewy.caches import CACHES
from dewy.caches.chunks import ChunkedCache
from dewy.errors import RemoteError
from tests.contracts.shared_cases import entered, opens
from tests.needs import needs
from tests.standins.redis import Server, redis_server
from tests.standins.through import grown

KEY = "0123456789abcdef/v1.0.0--app.tar.gz"

pytestmark = needs("redis-server")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with redis_server(tmp_path / "servers") as made:
        yield made


@pytest.fixture
async def cache(server: Server, tmp_path: Path) -> AsyncIterator[ChunkedCache]:
    (tmp_path / "source").write_bytes(os.urandom(2_500_000))
    url = f"redis://127.0.0.1:{server.port}?prefix=mine"
    async with entered(opens(url), tmp_path / "local") as opened:
        yield cast("ChunkedCache", opened)


async def test_unretained_values_expire_and_retained_are_renewed(
    server: Server, cache: ChunkedCache, tmp_path: Path
) -> None:
    async def left() -> list[int]:
        return [int((await server.say("TTL", name))[1:]) for name in names]

    await cache.put(f"{KEY}.json", b"{}")
    await cache.store(KEY, tmp_path / "source")
    names = [f"mine:{name}" for name in await cache._store.names("")]
    assert 5 == len(names)
    # 720 hours; of what never expires it would be -1.
    assert {True} == {86400 < seconds <= 2592000 for seconds in await left()}
    for name in names:
        await server.say("EXPIRE", name, "100")
    await cache.tend()
    assert max(await left()) <= 100
    cache.retain([KEY, f"{KEY}.json"])
    await cache.tend()

    assert min(await left()) > 86400


async def test_evicted_chunk_is_seen(
    server: Server, cache: ChunkedCache, tmp_path: Path
) -> None:
    await cache.store(KEY, tmp_path / "source")
    for copy in (tmp_path / "local").rglob("*--*"):
        copy.unlink()
    chunk = (await cache._store.names("chunk/"))[0]
    await server.say("DEL", f"mine:{chunk}")

    assert not await cache.load(KEY, tmp_path / "into")
    assert await cache.store(KEY, tmp_path / "source")
    assert await cache.load(KEY, tmp_path / "into")


async def test_full_server_takes_nothing_more_but_still_reads(
    server: Server, cache: ChunkedCache, tmp_path: Path
) -> None:
    await cache.put("key", b"value")
    await server.say("CONFIG", "SET", "maxmemory", "1")

    with pytest.raises(RemoteError, match="is full"):
        await cache.store(KEY, tmp_path / "source")
    with pytest.raises(RemoteError, match="is full"):
        await cache.put("key", b"another")
    assert b"value" == await cache.get("key")
    assert not await cache.load(KEY, tmp_path / "into")


async def test_server_that_is_read_only_is_read(
    server: Server, cache: ChunkedCache, tmp_path: Path
) -> None:
    await cache.put("key", b"value")
    await server.say("REPLICAOF", "127.0.0.1", "1")

    with pytest.raises(RemoteError, match="is read-only"):
        await cache.put("key", b"another")
    assert b"value" == await cache.get("key")


async def test_server_that_stopped_to_answer_is_given_up(
    server: Server, cache: ChunkedCache
) -> None:
    await cache.put("key", b"value")
    await server.say("CONFIG", "SET", "busy-reply-threshold", "60000")
    await server.say("CLIENT", "PAUSE", "30000")

    with pytest.raises(RemoteError, match="did not answer"):
        async with cache._store._request(0.1) as client:  # type: ignore[attr-defined]
            await client.get("key")
    with pytest.raises(RemoteError, match="a moment ago"):
        await cache.get("key")


async def test_server_that_comes_back_is_used_again(
    server: Server, cache: ChunkedCache
) -> None:
    """The first call after its death is refused at once, without trying for long."""
    await cache.put("key", b"value")
    await server.kill()
    with pytest.raises(RemoteError, match=r"could not be reached: .*[^.]$"):
        await cache.get("key")
    await server.start()

    assert await cache.get("key") is None


async def test_wrong_password_error_names_variable_without_password(
    server: Server, cache: ChunkedCache, tmp_path: Path
) -> None:
    await server.say("CONFIG", "SET", "requirepass", "secret")
    url = f"redis://:wr0ng@127.0.0.1:{server.port}"
    async with entered(opens(url), tmp_path / "other") as opened:
        with pytest.raises(RemoteError, match="REDIS_PASSWORD") as caught:
            await opened.get("key")
        assert "wr0ng" not in repr(opened)
    async with entered(opens(url.replace("wr0ng", "secret")), tmp_path / "o") as opened:
        assert await opened.get("key") is None

    assert "wr0ng" not in str(caught.value)


async def test_prefixes_keep_caches_apart(server: Server, cache: ChunkedCache) -> None:
    """Patterns in them are no patterns."""
    await cache.put("key", b"value")
    url = f"redis://127.0.0.1:{server.port}?prefix=m*"
    async with entered(opens(url), Path("/nonexistent")) as other:
        assert [] == await other.keys()


async def test_memory_does_not_follow_the_size_of_a_file(
    server: Server, tmp_path: Path, soak: bool
) -> None:
    """96 MiB, or 1 GiB, in and out again."""
    url = f"redis://127.0.0.1:{server.port}?max-artifact=2GiB"

    assert await grown(url, tmp_path, (1024 if soak else 96) << 20) < 80 << 20


def test_repr_of_cache_masks_credentials(tmp_path: Path) -> None:
    shown = repr(CACHES.open("redis://me:secret@host", tmp_path))

    assert "<RedisCache redis://***@host>" == shown
