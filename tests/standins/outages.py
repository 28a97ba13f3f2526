"""Somebody who asks a port again and again, and remembers how long none answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.eventually import eventually

PAUSE = 0.01
PATIENCE = 10.0
REQUEST = b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Outages:
    """
    How long *port* did not answer, and which versions did.

    Attributes:
        longest: Seconds, since `forget`.

        versions: As they came since then, each until another one answered.

        unanswered: Requests since then that were refused, cut off or not answered.
    """

    port: int
    longest: float = 0.0
    versions: list[str] = field(default_factory=list)
    unanswered: int = 0
    answers: int = 0
    _answered: float = field(default_factory=time.monotonic)

    def forget(self) -> float:
        """Begin anew; what was the longest so far."""
        longest, self.longest = self.longest, 0.0
        self.unanswered = 0
        del self.versions[:-1]
        return longest

    async def goes_on(self) -> None:
        """Return once more answers have come."""
        wanted = self.answers + 3
        await eventually(lambda: self.answers >= wanted)

    async def ask(self) -> None:
        """One request: its answer, if one comes, ends the outage."""
        try:
            async with asyncio.timeout(PATIENCE):
                version = await _version(self.port)
        except (OSError, EOFError):
            self.unanswered += 1
            return
        now = time.monotonic()
        self.longest = max(self.longest, now - self._answered)
        self._answered, self.answers = now, self.answers + 1
        if self.versions[-1:] != [version]:
            self.versions.append(version)


@asynccontextmanager
async def watching(port: int) -> AsyncIterator[Outages]:
    """Ask at *port* of this host all the time."""
    outages = Outages(port)

    async def ask_on() -> None:
        while True:
            await outages.ask()
            await asyncio.sleep(PAUSE)

    asking = asyncio.create_task(ask_on(), name="outages")
    try:
        yield outages
    finally:
        asking.cancel()
        await asyncio.wait({asking})
    if not asking.cancelled():
        asking.result()


async def _version(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(REQUEST)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if b" 200 " not in head.partition(b"\r\n")[0] or not body:
        raise EOFError
    return body.decode().strip()
