"""Holding newcomers back, for a while or until somebody says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from dewy.config import Endpoint
from dewy.proxy import Port, Proxy
from dewy.proxy.port import Pausing
from tests.eventually import eventually


async def connected(port: Port) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*port.endpoint.address)


@asynccontextmanager
async def proxying() -> AsyncIterator[tuple[Port, Port]]:
    """Two ports of one proxy, before a server that greets."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    with closing(server):
        async with Proxy(threads=0) as proxy:
            ports = [await proxy.open(Endpoint("127.0.0.1", 0)) for _ in range(2)]
            for port in ports:
                port.add(Endpoint.of(server.sockets[0]))
            yield ports[0], ports[1]


async def greeted(port: Port) -> None:
    """Whoever came before to another port of the proxy would have been let in."""
    reader, writer = await connected(port)
    assert b"hello" == await reader.read()
    writer.close()


async def passed(other: Pausing, seconds: float) -> None:
    """Pauses of as many seconds that began before have ended by themselves."""
    other.pause(seconds)
    await eventually(lambda: not other.paused)


async def test_new_connections_wait_until_resume():
    async with proxying() as (port, other):
        pausing = Pausing([port])
        pausing.pause()
        pausing.pause()
        reader, writer = await connected(port)
        reading = asyncio.create_task(reader.read(), name="reading")
        await greeted(other)
        assert (True, None) == (pausing.paused, pausing.until)
        assert 0 == port.stats().accepted
        pausing.resume()

        assert b"hello" == await reading
        assert not pausing.paused
        writer.close()


async def test_pause_with_duration_ends_automatically():
    async with Proxy(threads=0) as proxy:
        pausing = Pausing([await proxy.open(Endpoint("127.0.0.1", 0))])
        pausing.pause(0.01)
        assert pausing.until is not None

        await eventually(lambda: not pausing.paused)
        assert pausing.until is None


async def test_the_last_word_counts():
    async with proxying() as (port, other):
        pausing = Pausing([port])
        pausing.pause(0.0)
        pausing.pause()
        await passed(Pausing([other]), 0.001)
        assert pausing.paused

        pausing.pause(3600.0)
        pausing.resume()
        assert pausing.until is None
        pausing.resume()


async def test_leaving_while_paused_admits_no_connections():
    """Whoever waits is for the next dewy, or was not to be let in at all."""
    async with proxying() as (port, other):
        pausing = Pausing([port])
        pausing.pause(0.01)
        pausing.leave()
        _, writer = await connected(port)
        await passed(Pausing([other]), 0.01)
        await greeted(other)

        assert (0, True) == (port.stats().accepted, pausing.paused)
        writer.close()
