"""A URL says which Redis is meant: one server, one behind Sentinel, or a Cluster."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.caches import CACHES, Cache
from dewy.caches.redis import Place
from dewy.errors import ConfigError, RemoteError
from dewy.urls import options, split
from tests.contracts.shared_cases import entered, opens
from tests.eventually import eventually
from tests.needs import needs
from tests.standins.redis import Watched, cluster, redis_server, sentinel

KEY = "0123456789abcdef/v1.0.0--app.tar.gz"
DEFAULTS = {"sentinel": "", "cluster": "false", "also": "", "ca": ""}


def place(url: str) -> Place:
    parts = split(url)
    return Place.of(parts, options(parts, DEFAULTS))


def test_address_has_the_usual_defaults() -> None:
    assert (("cache", 6379),) == place("redis://cache").hosts
    assert (("cache", 7000),) == place("redis://cache:7000/3").hosts
    assert 3 == place("redis://cache:7000/3").database
    assert place("rediss://cache").tls
    assert not place("redis://cache").tls


def test_user_and_password_come_from_the_url_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stated = place("redis://me:p%40ss@cache")
    monkeypatch.setenv("REDIS_USERNAME", "you")
    monkeypatch.setenv("REDIS_PASSWORD", "secret")
    found = place("redis://cache")

    assert ("me", "p@ss") == (stated.user, stated.password)
    assert ("you", "secret") == (found.user, found.password)
    assert "secret" not in found.where


def test_sentinels_and_nodes_may_be_several() -> None:
    found = place("redis://one?sentinel=cache&also=two,three:7000")

    assert (("one", 26379), ("two", 26379), ("three", 7000)) == found.hosts
    assert "redis://one:26379,two:26379,three:7000" == found.where


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis://cache/db", "a number after its host"),
        ("redis:///1", "must name a host"),
        ("redis://a?sentinel=s&cluster=true", "either"),
        ("redis://a/1?cluster=true", "no databases"),
        ("redis://a?also=b", "Sentinels or Cluster nodes only"),
        ("redis://a?sentinel=s&also=:1", "HOST"),
        ("redis://a?ca=/nowhere", "can be read"),
    ],
)
def test_contradiction_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        place(url)


async def goes_round(cache: Cache, directory: Path) -> None:
    """Whatever a cache is for, once."""
    content = os.urandom(3_000_000)
    (directory / "source").write_bytes(content)
    await cache.put(f"{KEY}.json", b"{}")

    assert await cache.store(KEY, directory / "source")
    assert [KEY, f"{KEY}.json"] == await cache.keys(KEY[:16])
    cache.retain([KEY, f"{KEY}.json"])
    await cache.tend()  # type: ignore[attr-defined]
    for number in range(2):
        other = directory / f"other{number}"
        other.mkdir()
        assert await cache.load(KEY, other / "into")
        assert content == (other / "into").read_bytes()
    await cache.delete(KEY)
    assert not await cache.load(KEY, directory / "gone")


@needs("redis-server")
async def test_cluster_stores_values_and_reports_unreachable_nodes(
    tmp_path: Path,
) -> None:
    """And fails as one does, when its nodes are gone."""
    async with cluster(tmp_path) as nodes:
        also = ",".join(f"127.0.0.1:{node.port}" for node in nodes[1:])
        url = f"redis://127.0.0.1:{nodes[0].port}?cluster=true&also={also}"
        async with entered(opens(url), tmp_path / "local") as cache:
            await goes_round(cache, tmp_path)
            for node in nodes:
                await node.kill()
            for _ in range(2):
                with pytest.raises(RemoteError, match="could not be reached"):
                    await cache.get(KEY)


@needs("redis-server")
async def test_server_alone_is_no_cluster(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        url = f"redis://127.0.0.1:{server.port}?cluster=true"
        async with entered(opens(url), tmp_path / "local") as cache:
            with pytest.raises(RemoteError, match="leave the option cluster out"):
                await cache.get(KEY)


async def test_sentinel_that_is_away_is_told_in_few_words(tmp_path: Path) -> None:
    url = "redis://127.0.0.1:1?sentinel=cache"
    async with entered(opens(url), tmp_path) as cache:
        with pytest.raises(RemoteError) as caught:
            await cache.get(KEY)

    assert "option sentinel=" in str(caught.value)
    assert len(str(caught.value)) < 160


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with sentinel(tmp_path, "cache") as made:
        yield made


@needs("redis-server")
async def test_sentinel_finds_the_new_primary(watched: Watched, tmp_path: Path) -> None:
    """While there is none the cache fails; then it goes on by itself."""
    first, *more = [f"127.0.0.1:{each.port}" for each in watched.sentinels]
    url = f"redis://{first}/?sentinel=cache&also={','.join(more)}"
    async with entered(opens(url), tmp_path / "local") as cache:
        await goes_round(cache, tmp_path)
        await watched.primary.kill()

        async def works() -> bool:
            try:
                await cache.put("key", b"value")
            except Exception:  # noqa: BLE001
                return False
            return True

        await eventually(works)
        assert b"value" == await cache.get("key")


def test_cache_of_an_odd_url_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean prefix"):
        CACHES.open("redis://cache?prefx=a", tmp_path)
    with pytest.raises(ConfigError, match="longer than zero"):
        CACHES.open("redis://cache?ttl=0", tmp_path)


async def test_error_of_an_unknown_command_does_not_show_the_password(
    tmp_path: Path,
) -> None:
    """A server or proxy without AUTH quotes its arguments."""

    async def refuse(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while await reader.read(4096):
            writer.write(b"-ERR unknown command 'AUTH', with args beginning with: 'me'")
            writer.write(b" 'hunter2' \r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"redis://me:hunter2@127.0.0.1:{port}"
        async with entered(opens(url), tmp_path) as cache:
            with pytest.raises(RemoteError, match="unknown command") as caught:
                await cache.get(KEY)

    assert "hunter2" not in str(caught.value)
