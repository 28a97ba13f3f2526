"""What is particular about Consul; over its stand-in, which is no real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.caches import CACHES
from dewy.errors import ConfigError, RateLimited, RemoteError
from tests.contracts.shared_cases import entered, opens
from tests.standins.consul import Consul, serving
from tests.standins.through import grown


@pytest.fixture
def consul() -> Consul:
    return Consul(token="secret")


@pytest.fixture
async def url(consul: Consul) -> AsyncIterator[str]:
    async with serving(consul) as port:
        yield f"consul://127.0.0.1:{port}/app"


async def test_token_comes_from_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "secret")
    async with entered(opens(url), tmp_path) as cache:
        await cache.put("key", b"value")

        assert b"value" == await cache.get("key")


async def test_access_denied_error_names_variable_without_token(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "wr0ng")
    async with entered(opens(url), tmp_path) as cache:
        with pytest.raises(RemoteError, match="CONSUL_HTTP_TOKEN needs") as caught:
            await cache.put("key", b"value")

    assert "wr0ng" not in str(caught.value)


async def test_limit_of_consul_is_no_outage(
    url: str, consul: Consul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the write later."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "secret")
    consul.refusing = 429
    async with entered(opens(url), tmp_path) as cache:
        with pytest.raises(RateLimited):
            await cache.put("key", b"value")
        consul.refusing = 0
        await cache.put("key", b"value")


async def test_consul_that_is_down_says_so_at_once(tmp_path: Path) -> None:
    async with entered(opens("consul://127.0.0.1:1/app"), tmp_path) as cache:
        with pytest.raises(RemoteError, match=r"consul://127\.0\.0\.1:1 could not be"):
            await cache.get("key")


async def test_consul_that_hangs_is_given_up(
    url: str, consul: Consul, tmp_path: Path
) -> None:
    """And is not asked again at once."""
    consul.hanging = True
    async with entered(opens(url), tmp_path) as cache:
        store = cache._store  # type: ignore[attr-defined]
        with pytest.raises(RemoteError, match="did not answer in"):
            async with store._request(0.05) as kv:
                await kv.get("key")
        with pytest.raises(RemoteError, match="a moment ago"):
            await cache.get("key")


@pytest.mark.parametrize("body", ["<html>welcome</html>", "[1, 2]", "7", ""])
async def test_server_of_something_else_is_a_remote_error(
    body: str, consul: Consul, url: str, tmp_path: Path
) -> None:
    """Or it would stop a deployment."""
    consul.babbling = body
    async with entered(opens(url), tmp_path) as cache:
        for call in (
            lambda: cache.get("key"),
            lambda: cache.keys(),
            lambda: cache.load("key", tmp_path / "into"),
        ):
            with pytest.raises(RemoteError, match="did not answer like Consul"):
                await call()


async def test_memory_does_not_follow_the_size_of_a_file(tmp_path: Path) -> None:
    """The largest that is kept, in and out again."""
    async with serving(Consul()) as port:
        url = f"consul://127.0.0.1:{port}/app"

        assert await grown(url, tmp_path, 32 << 20) < 80 << 20


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("consul://token@host/app", "CONSUL_HTTP_TOKEN"),
        ("consul:///app", "must name a host"),
        ("consul://host/app?maxartifact=1", "did you mean max-artifact"),
        ("consul://host/app?ca=/nowhere", "can be read"),
        ("consul://host/app?tls=perhaps", "true or false"),
    ],
)
def test_mistake_in_the_url_is_told(url: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        CACHES.open(url, tmp_path)


def test_repr_of_cache_shows_address(tmp_path: Path) -> None:
    shown = repr(CACHES.open("consul://host/app", tmp_path))

    assert "<ConsulCache consul://host:8500>" == shown
