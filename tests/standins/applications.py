"""What runs in the containers of a `MemoryHost`: real servers on loopback."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from dewy.containers.model import Container
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost
from tests.standins.registry import free_port

KILLED = 137
PREFIX = f"127.{64 + os.getpid() % 160}"
PORT = free_port()
"""For containers; somebody may listen on every address's 8080."""


def memory_engine(name: str = "") -> MemoryEngine:
    """An engine of the host *name*, or of a new one, whose containers serve."""
    host = MemoryHost.named(name or uuid.uuid4().hex, PREFIX)
    host.run = LoopbackApplication.run
    return MemoryEngine(host)


class LoopbackApplication:
    """
    Answers every request on loopback with its version, as a container would.

    It listens at the container's own address (in 127.0.0.0/8) and at an ephemeral
    port of 127.0.0.1, the published one.

    Attributes:
        connections: Those that are open.

        served: Every connection there was.

        stopping: It was asked to end.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.published: Mapping[int, int] = {}
        self.connections: set[asyncio.StreamWriter] = set()
        self.served = 0
        self.stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._servers: list[asyncio.Server] = []

    @classmethod
    async def run(cls, container: Container, spec: Mapping[str, Any]) -> Self:
        """Serve as *container*: on each port of *spec*, with the image's tag."""
        application = cls(container.image.rpartition(":")[2])
        published = {}
        for exposed in spec["ExposedPorts"]:
            port = int(exposed.partition("/")[0])
            for address in container.addresses.values():
                await application._listen(address, port)
            published[port] = await application._listen("127.0.0.1", 0)
        application.published = published
        return application

    async def stop(self, seconds: float) -> int:
        """Refuse new connections and wait for the open ones."""
        self.stopping.set()
        self._refuse()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
                return 0
        await self.kill()
        return KILLED

    async def kill(self) -> None:
        """Reset whatever is open."""
        self._refuse()
        for writer in list(self.connections):
            writer.transport.abort()

    def _refuse(self) -> None:
        for server in self._servers:
            server.close()

    async def _listen(self, address: str, port: int) -> int:
        server = await asyncio.start_server(self._serve, address, port)
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections.add(writer)
        self._idle.clear()
        self.served += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self.connections.discard(writer)
            if not self.connections:
                self._idle.set()
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await reader.readuntil(b"\r\n\r\n")
        goes_on = not self.stopping.is_set()
        body = self.version.encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s"
            % (len(body), b"keep-alive" if goes_on else b"close", body)
        )
        await writer.drain()
        return goes_on
