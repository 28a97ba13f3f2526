"""Connections to the admin API: few, and short."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from aiohttp import web

from dewy.admin.guard import LARGEST_HEAD, MOST_VISITS
from dewy.admin.http import AdminAPI
from tests.eventually import eventually
from tests.standins.browsing import connected, get, parsed, telling

ASKING = b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes, until the connection ends in one way or another."""
    received = b""
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            received += data
    return received


async def test_client_that_sends_no_request_is_let_go(
    port: int, snapshot: dict[str, Any]
) -> None:
    """Open connections cost descriptors."""
    api = AdminAPI(port, telling(snapshot), header_timeout=0.05)
    async with api, connected(api.port) as (reader, writer):
        writer.write(b"GET /api/status HTTP/1.1\r\nHost:")
        assert b"" == await rest(reader)


async def test_client_that_trickles_is_let_go(
    port: int, snapshot: dict[str, Any]
) -> None:
    """A byte now and then buys it no time."""
    api = AdminAPI(port, telling(snapshot), header_timeout=0.2)
    async with api, asyncio.timeout(30):
        with socket.create_connection(("127.0.0.1", api.port)) as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"GET /api/status HTTP/1.1\r\n")
            with pytest.raises(ConnectionError):
                while True:
                    await loop.sock_sendall(client, b"X: y\r\n")
                    # A few bytes at a time are what is tested.
                    await asyncio.sleep(0.01)


async def test_client_that_takes_no_answer_is_let_go(
    port: int, snapshot: dict[str, Any]
) -> None:
    """What it asked for must not stay in memory for ever."""
    snapshot["name"] = "x" * 16_000_000
    api = AdminAPI(port, telling(snapshot), answer_timeout=0.3)
    async with api, asyncio.timeout(30):
        with socket.create_connection(("127.0.0.1", api.port)) as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, ASKING)

            async def let_go() -> bool:
                """It reads nothing, and hears of the end when it sends something."""
                try:
                    await loop.sock_sendall(client, b"x")
                except ConnectionError:
                    return True
                return False

            await eventually(let_go)


async def test_head_without_end_is_not_kept(
    port: int, snapshot: dict[str, Any]
) -> None:
    """Neither as a line nor as many."""
    async with AdminAPI(port, telling(snapshot)) as api, connected(api.port) as peer:
        reader, writer = peer
        writer.write(b"GET /api/status HTTP/1.1\r\n")
        with suppress(ConnectionError):
            for number in range(LARGEST_HEAD // 100):
                writer.write(b"X-%d: " % number + b"y" * 200 + b"\r\n")
                await writer.drain()
        assert b"200" not in (await rest(reader))[:20]
        assert 200 == (await get(api.port, "/api/status"))[0]


async def test_silent_clients_make_room_for_new_ones(
    port: int, snapshot: dict[str, Any]
) -> None:
    """The oldest first; whoever has half a request is silent, too."""
    async with AdminAPI(port, telling(snapshot)) as api, AsyncExitStack() as stack:
        silent = []
        for _ in range(MOST_VISITS):
            peer = await stack.enter_async_context(connected(api.port))
            peer[1].write(ASKING[:-2])
            silent.append(peer)
        codes = [(await get(api.port, "/api/status"))[0] for _ in range(3)]
        assert [200, 200, 200] == codes
        assert b"" == await rest(silent[0][0])
        reader, writer = silent[-1]
        writer.write(ASKING[-2:])
        assert 200 == parsed(await rest(reader))[0]


async def test_connection_beyond_limit_gets_503_with_retry_after(
    port: int, snapshot: dict[str, Any]
) -> None:
    """Where all have a request; and there is room again as soon as somebody leaves."""
    asked, over = 0, asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await over.wait()
        return web.Response()

    api = AdminAPI(port, telling(snapshot), routes={"/slow": slow})
    async with api, AsyncExitStack() as stack:
        for _ in range(MOST_VISITS):
            _, last = await stack.enter_async_context(connected(api.port))
            last.write(ASKING.replace(b"/api/status", b"/slow"))
        await eventually(lambda: MOST_VISITS == asked)
        async with connected(api.port) as (reader, _):
            code, headers, _ = parsed(await rest(reader))
        over.set()
        codes = [503]
        async with asyncio.timeout(30):
            while codes[-1] == 503:
                codes.append((await get(api.port, "/api/status"))[0])

    assert 200 == codes[-1]
    assert (503, "5") == (code, headers["retry-after"])
