"""The local HTTP API."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp import web

from dewy.admin.http import PORTS_TRIED, AdminAPI, status_answer
from dewy.errors import DewyError
from tests.standins.browsing import connected, get, telling


async def test_status_is_told(port: int, snapshot: dict[str, Any]) -> None:
    """With the keys of the original beside those of `dewy status`."""
    async with AdminAPI(port, telling(snapshot)) as api:
        code, found = await get(api.port, "/api/status")

    assert 200 == code
    assert {
        "command": 0,
        "current_version": "v2",
        "is_running": True,
        "name": "app",
        "proxy_backends": 0,
    }.items() <= found.items()
    assert ["v3"] == [each["tag"] for each in found["quarantine"]]
    assert "server" == found["mode"]


async def test_containers_are_none(port: int, snapshot: dict[str, Any]) -> None:
    """As outside of container mode they always were."""
    async with AdminAPI(port, telling(snapshot)) as api:
        assert (200, {"containers": None}) == await get(api.port, "/api/containers")


async def test_unknown_path_is_not_found(port: int, snapshot: dict[str, Any]) -> None:
    """And the connection ends, as always."""
    async with AdminAPI(port, telling(snapshot)) as api:
        assert 404 == (await get(api.port, "/api/other"))[0]


async def test_taken_port_is_passed_over(port: int, snapshot: dict[str, Any]) -> None:
    """Several dewys of one host share the default."""
    async with (
        AdminAPI(port, telling(snapshot)) as first,
        AdminAPI(first.port, telling(snapshot)) as second,
    ):
        assert first.port < second.port <= first.port + PORTS_TRIED
        assert 200 == (await get(second.port, "/api/status"))[0]


@pytest.fixture
def taken() -> Iterator[int]:
    """The first of ten ports that are all taken."""
    for first in range(20000, 60000, PORTS_TRIED):
        with ExitStack() as stack:
            try:
                for port in range(first, first + PORTS_TRIED):
                    listener = stack.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", port))
                    listener.listen()
            except OSError:
                continue
            yield first
            return
    pytest.skip("no ten free ports in a row")


async def test_ten_taken_ports_are_told(taken: int, snapshot: dict[str, Any]) -> None:
    """It once ended dewy with exit status 0."""
    with pytest.raises(DewyError, match=f"no free port from {taken} to {taken + 9}"):
        await AdminAPI(taken, telling(snapshot)).__aenter__()


async def test_zero_serves_nothing(snapshot: dict[str, Any]) -> None:
    """`--admin-port 0`."""
    async with AdminAPI(0, telling(snapshot)) as api:
        assert 0 == api.port


async def test_port_is_free_after_leaving(port: int, snapshot: dict[str, Any]) -> None:
    """Also while a client is still connected."""
    async with AdminAPI(port, telling(snapshot)) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    async with AdminAPI(api.port, telling(snapshot)) as again:
        assert api.port == again.port
    writer.close()


async def test_end_goes_on_beside_others(port: int, snapshot: dict[str, Any]) -> None:
    """A request that hangs holds up whoever waits for it, and nobody else."""
    asked = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    api = AdminAPI(port, telling(snapshot), routes={"/hang": hang})
    async with api, connected(api.port) as (reader, writer):
        writer.write(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asked.wait()
        api.leave()
        api.leave()
        assert b"" == await reader.read()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", api.port)


def test_assets_have_their_number(snapshot: dict[str, Any]) -> None:
    """As the original counted its commands; only a server runs."""
    found = status_answer({**snapshot, "command": "assets", "running": None})

    assert (1, "", False) == (
        found["command"],
        found["current_version"],
        found["is_running"],
    )
