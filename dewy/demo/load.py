"""Constant load from many clients, with every answer checked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

DEADLINE = 20.0
REQUEST = b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: %s\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """
    Times of a version's first and last answer (monotonic seconds), and their number.
    """

    first: float
    last: float
    answers: int = 0

    def answered(self, now: float) -> None:
        self.last = now
        self.answers += 1


@dataclass(slots=True)
class Tally:
    """Tally of the clients' requests."""

    requests: int = 0
    connections: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: dict[str, Seen] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def answered(self, version: str) -> None:
        now = time.monotonic()
        self.requests += 1
        if version not in self.versions:
            self.versions[version] = Seen(now, now)
            self.changed.set()
        self.versions[version].answered(now)

    def connected(self) -> None:
        self.connections += 1

    def failed(self, exc: BaseException) -> None:
        self.requests += 1
        self.failures[type(exc).__name__] += 1


class Load:
    """
    Load of *clients*, each with one request at a time; half keep their connections.

    Args:
        pause: Seconds between two requests of a client.
    """

    def __init__(self, port: int, clients: int, pause: float) -> None:
        self.tally = Tally()
        self._port = port
        self._clients = clients
        self._pause = pause
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._tasks = {
            asyncio.create_task(self._ask(keep=n % 2 == 0), name=f"client {n}")
            for n in range(self._clients)
        }
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Let every request under way come to its end."""
        self._stop.set()
        await asyncio.wait(self._tasks)

    async def _ask(self, *, keep: bool) -> None:
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(DEADLINE):
                    await self._connection(keep=keep)
            except (OSError, EOFError, ValueError) as exc:
                self.tally.failed(exc)
            await self._rest()

    async def _connection(self, *, keep: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.tally.connected()
        try:
            for _ in range(20 if keep else 1):
                writer.write(REQUEST % (b"keep-alive" if keep else b"close"))
                version, last = await _answer(reader)
                self.tally.answered(version)
                if last or self._stop.is_set():
                    return
                await self._rest()
        finally:
            writer.close()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._pause):
                await self._stop.wait()
        except TimeoutError:
            pass


async def _answer(reader: asyncio.StreamReader) -> tuple[str, bool]:
    """
    Raises:
        EOFError: the answer is cut short.
        ValueError: the answer is not a good one.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status, _, fields = head.partition("\r\n")
    if " 200 " not in f"{status} ":
        raise ValueError(status)
    length = int(fields.partition("content-length:")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    return body.decode().strip(), "connection: close" in fields
