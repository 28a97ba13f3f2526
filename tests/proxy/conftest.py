"""Backends and clients for the proxy, on the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from dewy.config import Endpoint
from dewy.proxy import Port, Proxy

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Application:
    """Answers each line with its name, until stopped."""

    name: bytes
    endpoint: Endpoint = field(default_factory=Endpoint)
    server: asyncio.Server | None = None
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        self.server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.endpoint.port
        )
        bound = self.server.sockets[0].getsockname()
        self.endpoint = Endpoint(bound[0], bound[1])

    async def stop(self) -> None:
        """As if it had died: nobody listens there, until it is started again."""
        if self.server is not None:
            self.server.close()
            await asyncio.sleep(0)
            self.server = None

    async def end(self) -> None:
        """Whatever clients want."""
        await self.stop()
        for task in self.serving:
            task.cancel()
        if self.serving:
            await asyncio.wait(self.serving)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while await reader.readline():
                writer.write(self.name + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


Applications = Callable[[str], Awaitable[Application]]


@pytest.fixture
async def application() -> AsyncIterator[Applications]:
    """Starts applications by their names."""
    async with AsyncExitStack() as stack:

        async def start(name: str) -> Application:
            started = Application(name.encode())
            await started.start()
            stack.push_async_callback(started.end)
            return started

        yield start


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy with one thread of its own, where it has threads."""
    async with Proxy(threads=1) as proxy:
        yield proxy


@pytest.fixture
async def port(proxy: Proxy) -> Port:
    """A port of it."""
    return await proxy.open(Endpoint("127.0.0.1", 0))


async def connect(port: Port) -> Stream:
    """A client of *port*."""
    return await asyncio.open_connection(port.endpoint.host, port.endpoint.port)


async def ask(stream: Stream) -> str:
    """Which application answers on *stream*; "" when it ends instead."""
    reader, writer = stream
    writer.write(b"?\n")
    try:
        return (await reader.readline()).decode().strip()
    except ConnectionError:
        return ""


async def asked(port: Port) -> str:
    """Which application answers a client of *port*; "" if it is turned away."""
    try:
        stream = await connect(port)
    except ConnectionResetError:
        return ""  # before connect had returned
    try:
        return await ask(stream)
    finally:
        stream[1].close()
