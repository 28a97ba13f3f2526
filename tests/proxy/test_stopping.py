"""The proxy ends when its last connection has, or somebody is in a hurry."""

from __future__ import annotations

import asyncio
import logging

import pytest

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


async def test_hurried_stop_skips_draining(
    application: Applications, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has how many connections that cut."""
    caplog.set_level(logging.INFO)
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
        assert [1] == [
            vars(each)["cut"] for each in caplog.records if "cut" in vars(each)
        ]
        stream[1].close()


async def test_failure_to_stop_is_raised() -> None:
    class Broken(Proxy):
        async def stop(self, seconds: float) -> int:
            raise LookupError(seconds)

    proxy = Broken(threads=0)
    with pytest.raises(LookupError):
        await stop(proxy, 0.0, asyncio.Event())
    await Proxy.stop(proxy, 0.0)
