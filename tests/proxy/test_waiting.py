"""Clients that the proxy lets wait, rather than turn them away."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dewy.config import Endpoint
from dewy.proxy import Port, Proxy
from tests.eventually import eventually
from tests.proxy.conftest import Applications, ask, asked, connect


async def test_client_that_comes_early_waits(application: Applications) -> None:
    """A port is opened first and its backends come after; nobody is turned away."""
    backend = (await application("it")).endpoint
    proxy = Proxy(threads=1)
    port = await proxy.open(Endpoint("127.0.0.1", 0))
    stream = await connect(port)
    port.add(backend)
    async with proxy:
        assert "it" == await ask(stream)
    stream[1].close()


async def passed_by(
    waiting: asyncio.Task[str], proxy: Proxy, application: Applications
) -> None:
    """Those who come later, to another port, are served; *waiting* goes on."""
    other = await proxy.open(Endpoint("127.0.0.1", 0))
    other.add((await application("other")).endpoint)
    for _ in range(3):
        assert "other" == await asked(other)
    assert not waiting.done()


async def test_paused_port_lets_clients_wait(
    proxy: Proxy, port: Port, application: Applications
) -> None:
    """Nobody is refused."""
    port.add((await application("it")).endpoint)
    port.pause()
    waiting = asyncio.create_task(asked(port))
    await passed_by(waiting, proxy, application)
    port.resume()
    assert "it" == await waiting


@pytest.mark.parametrize("passing", [True, False], ids=["passed", "own"])
async def test_port_opened_paused_lets_clients_wait(
    proxy: Proxy, application: Applications, passing: bool
) -> None:
    """Its backends are still to come, on a proxy that runs already."""
    with socket.create_server(("127.0.0.1", 0)) as passed:
        offered = [("web", passed)] if passing else []
        endpoint = Endpoint(*passed.getsockname()) if passing else Endpoint("127.0.0.1")
        port = await proxy.open(endpoint, offered, paused=True)
        waiting = asyncio.create_task(asked(port))
        await passed_by(waiting, proxy, application)
        port.add((await application("it")).endpoint)
        port.resume()
        assert "it" == await waiting


async def test_clients_wait_for_a_backend_if_told_to(
    application: Applications,
) -> None:
    """On a proxy that runs already, and again when the last backend has left."""
    async with Proxy(threads=1, backend_wait=60.0) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1", 0))
        for name in ("one", "two"):
            waiting = asyncio.create_task(asked(port))
            await eventually(lambda: 1 == port.stats().active)
            backend = port.add((await application(name)).endpoint)
            assert name == await waiting
            await eventually(lambda: 0 == port.stats().active)
            await backend.remove()


async def test_stop_does_not_wait_for_a_backend() -> None:
    """None will come any more."""
    async with Proxy(threads=1, backend_wait=60.0) as proxy:
        port = await proxy.open(Endpoint("127.0.0.1", 0))
        waiting = asyncio.create_task(asked(port))
        await eventually(lambda: 1 == port.stats().active)
        assert 0 == await asyncio.wait_for(proxy.stop(60), 30)
        assert "" == await waiting
