"""Holding newcomers back, for a while or until somebody says so."""

from __future__ import annotations

import asyncio

from dewy.config import Endpoint
from dewy.containers.pausing import Pausing
from dewy.proxy import Proxy
from tests.eventually import eventually


async def connected(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.ports[0].endpoint.port)


async def test_newcomers_wait_until_it_is_over():
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with Proxy(threads=0) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1", 0))
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port.add(Endpoint.of(server.sockets[0]))
        pausing = Pausing([port])
        pausing.pause()
        pausing.pause()
        reader, writer = await connected(proxy)
        reading = asyncio.create_task(reader.read(), name="reading")
        await asyncio.sleep(0)
        assert (True, None) == (pausing.paused, pausing.until)
        assert 0 == port.stats().accepted
        pausing.resume()

        assert b"hello" == await reading
        assert not pausing.paused
        writer.close()
        server.close()


async def test_it_ends_by_itself():
    async with Proxy(threads=0) as proxy:
        pausing = Pausing([await proxy.open(Endpoint("127.0.0.1", 0))])
        pausing.pause(0.01)
        assert pausing.until is not None

        await eventually(lambda: not pausing.paused)
        assert pausing.until is None


async def test_the_last_word_counts():
    async with Proxy(threads=0) as proxy:
        pausing = Pausing([await proxy.open(Endpoint("127.0.0.1", 0))])
        pausing.pause(0.0)
        pausing.pause()
        await asyncio.sleep(0.05)
        assert pausing.paused

        pausing.pause(3600.0)
        pausing.resume()
        assert pausing.until is None
        pausing.resume()


async def test_whoever_leaves_lets_nobody_in():
    """Whoever waits is for the next dewy, or was not to be let in at all."""
    async with Proxy(threads=0) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1", 0))
        pausing = Pausing([port])
        pausing.pause(0.01)
        pausing.leave()
        _, writer = await connected(proxy)
        await asyncio.sleep(0.05)

        assert (0, True) == (port.stats().accepted, pausing.paused)
        writer.close()
