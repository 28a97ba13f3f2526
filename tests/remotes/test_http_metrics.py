"""What is counted of requests to others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dewy.remotes import http
from dewy.remotes.http import HTTPMetrics


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """It says how many requests are left, and redirects once."""

    async def answer(request: web.Request) -> web.Response:
        left = request.query.get("left", "41")
        return web.Response(headers={"X-RateLimit-Remaining": left})

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound("/")

    app = web.Application()
    app.router.add_get("/", answer)
    app.router.add_get("/away", redirect)
    async with TestServer(app) as server:
        yield server


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> HTTPMetrics:
    """Of this test alone."""
    fresh = HTTPMetrics()
    monkeypatch.setattr(http, "TRAFFIC", fresh)
    return fresh


async def test_requests_are_counted_by_answer(
    server: TestServer, counted: HTTPMetrics
) -> None:
    """In every session, each step of a redirect included."""
    async with http.session() as session:
        for path in ("/", "/away", "/nowhere"):
            async with session.get(server.make_url(path)):
                pass

    host = "127.0.0.1"
    assert {(host, "200"): 2, (host, "302"): 1, (host, "404"): 1} == counted.requests
    assert {host: 41} == counted.remaining


@pytest.mark.parametrize("left", ["-1", "many", "", "9" * 20])
async def test_invalid_rate_limit_header_is_ignored(
    left: str, server: TestServer, counted: HTTPMetrics
) -> None:
    async with (
        http.session() as session,
        session.get(server.make_url("/").with_query(left=left)),
    ):
        pass

    assert {} == counted.remaining


async def test_no_answer_is_counted_too(
    counted: HTTPMetrics, unused_tcp_port: int
) -> None:
    async with http.session() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://127.0.0.1:{unused_tcp_port}/")

    assert {("127.0.0.1", "failed"): 1} == counted.requests


async def test_hosts_are_bounded(
    server: TestServer, counted: HTTPMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever redirects cannot make as many series as there are names."""
    monkeypatch.setattr(http, "MAX_HOSTS", 1)
    async with http.session() as session:
        for host in ("127.0.0.1", "localhost", "127.0.0.1"):
            async with session.get(server.make_url("/").with_host(host)):
                pass

    assert {("127.0.0.1", "200"): 2, ("others", "200"): 1} == counted.requests
