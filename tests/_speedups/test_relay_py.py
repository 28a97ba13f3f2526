"""The pure twin where there is no Linux."""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import socket

import pytest

from dewy._speedups.interface import DRAINED
from dewy._speedups.relay_py import Relay
from tests.standins.plane import LOOPBACK, listening

OF_LINUX = (
    (select, "epoll"),
    (os, "eventfd"),
    (os, "splice"),
    (socket, "TCP_KEEPIDLE"),
    (socket, "TCP_USER_TIMEOUT"),
)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with all that was said, once it is."""
    writer.write(await reader.read())
    writer.close()


async def relayed(said: bytes) -> bytes:
    """The answer to *said*, through a relay whose backend drains afterwards."""
    loop = asyncio.get_running_loop()
    relay = Relay(0)
    relay.start()
    events: list[int] = []
    drained = asyncio.Event()

    def step() -> None:
        events.extend(kind for kind, _, _ in relay.step())
        drained.set()

    loop.add_reader(relay.fileno(), step)
    async with await asyncio.start_server(echo, LOOPBACK, 0) as server:
        with listening() as listener:
            port = relay.open_port(listener)
            address = listener.getsockname()
        backend = server.sockets[0].getsockname()
        number = relay.add_backend(port, socket.AF_INET, backend)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(said)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        relay.drain(number)
        await asyncio.wait_for(drained.wait(), 30)
    assert [DRAINED] == events
    loop.remove_reader(relay.fileno())
    relay.close()
    return answer


def test_twin_needs_nothing_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a loop of any special kind: `select` itself will do."""
    for module, name in OF_LINUX:
        monkeypatch.delattr(module, name, raising=False)
    selector = selectors.SelectSelector()
    said = bytes(300_000)
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selector)
    ) as runner:
        assert said == runner.run(relayed(said))
