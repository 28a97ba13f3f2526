"""Caches over TLS: whom they trust, and what they say of others."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from dewy.caches import CACHES
from dewy.caches.outages import authorities, is_distrust
from dewy.errors import ConfigError, RemoteError
from tests import needs
from tests.contracts.shared_cases import entered, opens
from tests.standins.certificates import Authority, Pair
from tests.standins.consul import Consul, serving
from tests.standins.redis import redis_with_tls

Serve = Callable[[Path, Pair], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def redis(directory: Path, pair: Pair) -> AsyncIterator[str]:
    needs.require("redis-server")
    async with redis_with_tls(directory, pair) as port:
        yield f"rediss://me:s3cret@127.0.0.1:{port}?"


@asynccontextmanager
async def consul_standin(directory: Path, pair: Pair) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    async with serving(Consul(), tls=context) as port:
        yield f"consul://127.0.0.1:{port}/app?tls=true&"


SERVERS: dict[str, Serve] = {"redis": redis, "consul-standin": consul_standin}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.mark.parametrize("kind", SERVERS)
async def test_server_whom_a_trusted_authority_certified_is_used(
    kind: str, authority: Authority, tmp_path: Path
) -> None:
    pair = authority.certify("127.0.0.1")
    async with SERVERS[kind](tmp_path, pair) as url:
        # Nobody has this password there; whoever is asked for it was trusted.
        shown = url.replace("me:s3cret@", "")
        where = f"{shown}ca={authority.cert}"
        async with entered(opens(where), tmp_path / "local") as cache:
            await cache.put("key", b"value")

            assert b"value" == await cache.get("key")


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("wrong", ["unknown authority", "another name"])
async def test_untrusted_certificate_error_is_single_line_with_advice(
    kind: str, wrong: str, authority: Authority, tmp_path: Path
) -> None:
    """It names the server, and no secrets."""
    pair = authority.certify("10.1.2.3" if wrong == "another name" else "127.0.0.1")
    stranger = Authority(tmp_path / "strangers", "stranger")
    ca = (authority if wrong == "another name" else stranger).cert
    async with (
        SERVERS[kind](tmp_path, pair) as url,
        entered(opens(f"{url}ca={ca}"), tmp_path / "local") as cache,
    ):
        with pytest.raises(RemoteError) as caught:
            await cache.get("key")

    told = str(caught.value)
    assert f"{url.partition(':')[0]}://127.0.0.1:" in told
    assert "could not be trusted: its TLS handshake or certificate failed" in told
    assert "option ca=" in told
    assert "s3cret" not in told
    assert 1 == len(told.splitlines())


@pytest.mark.parametrize("url", ["rediss://host?ca=", "consul://host?tls=true&ca="])
def test_file_without_certificates_is_refused_at_the_start(
    url: str, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="certificates in PEM form"):
        CACHES.open(f"{url}{tmp_path}/ca.pem", tmp_path)
    with pytest.raises(ConfigError, match="can be read"):
        CACHES.open(f"{url}{tmp_path}/none.pem", tmp_path)


def test_no_file_is_the_authorities_of_this_host() -> None:
    assert "" == authorities("")


def test_distrust_shows_under_other_errors() -> None:
    with pytest.raises(ConnectionError) as caught:
        try:
            raise ssl.SSLCertVerificationError("self-signed")
        except ssl.SSLError as exc:
            raise ConnectionError("no connection") from exc

    assert is_distrust(caught.value)
    assert not is_distrust(ConnectionError("refused"))


@pytest.mark.parametrize("kind", SERVERS)
async def test_renewed_authority_is_read_after_distrust(
    kind: str, authority: Authority, tmp_path: Path
) -> None:
    """The one that issues certificates from now on, under the same name."""
    ca, renewed = tmp_path / "ca.pem", await asyncio.to_thread(content, authority.cert)
    old = Authority(tmp_path / "old")
    await asyncio.to_thread(ca.write_bytes, await asyncio.to_thread(content, old.cert))
    async with SERVERS[kind](tmp_path, authority.certify("127.0.0.1")) as url:
        where = f"{url.replace('me:s3cret@', '')}ca={ca}"
        async with entered(opens(where), tmp_path / "local") as cache:
            with pytest.raises(RemoteError, match="could not be trusted"):
                await cache.get("key")
            await asyncio.to_thread(ca.write_bytes, renewed)

            assert await cache.get("key") is None


def content(path: Path) -> bytes:
    return path.read_bytes()
