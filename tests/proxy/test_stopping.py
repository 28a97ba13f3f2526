"""The proxy ends when its last connection has, or somebody is in a hurry."""

from __future__ import annotations

import asyncio

from dewy.config import Endpoint
from dewy.proxy import Proxy
from dewy.proxy.proxy import stop
from tests.eventually import eventually
from tests.proxy.conftest import Applications, ask


async def test_open_connections_are_waited_for(application: Applications) -> None:
    async with Proxy(threads=0) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1", 0))
        port.add((await application("it")).endpoint)
        stream = await asyncio.open_connection("127.0.0.1", port.endpoint.port)
        assert "it" == await ask(stream)
        stopping = asyncio.create_task(stop(proxy, 3600.0, asyncio.Event()), name="s")
        await eventually(lambda: port.closed)
        assert "it" == await ask(stream)
        assert not stopping.done()
        stream[1].close()
        await stopping


async def test_hurried_stop_skips_draining(application: Applications) -> None:
    hurry = asyncio.Event()
    async with Proxy(threads=0) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1", 0))
        port.add((await application("it")).endpoint)
        stream = await asyncio.open_connection("127.0.0.1", port.endpoint.port)
        assert "it" == await ask(stream)
        stopping = asyncio.create_task(stop(proxy, 3600.0, hurry), name="s")
        await eventually(lambda: port.closed)
        hurry.set()
        await stopping
        stream[1].close()
