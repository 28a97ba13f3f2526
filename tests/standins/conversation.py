"""One connection to the test application: requests, and answers that are checked."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from functools import cache
from itertools import count

from tests.standins.images import pattern

SIZE = 10 << 20
PIECE = 1 << 18
DEADLINE = 60.0
HOST = "127.0.0.1"

_numbers = count(1)


class ReusedClosed(Exception):
    """A connection that had served was closed; to be tried again on a new one."""


class Conversation:
    """
    A connection that is made with the first request.

    Attributes:
        last: The next request says that it is the last.

        served: How many answers came.

        over: There may be no further request.

        local: The client's own port.

        number: Each request says it, and no other connection has it.
    """

    def __init__(self, port: int) -> None:
        self.last = self.over = False
        self.served = self.local = 0
        self.number = next(_numbers)
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, length: int = 0) -> None:
        """
        Send the head of a request.

        Raises:
            OSError: it cannot be sent.
        """
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
            self.local = self._writer.get_extra_info("sockname")[1]
        more = "close" if self.last else "keep-alive"
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: {more}\r\n"
            f"X-Client: {self.number}\r\nContent-Length: {length}\r\n\r\n".encode()
        )

    async def send(self, piece: bytes) -> None:
        """
        Send some of the body, as fast as it is taken.

        Raises:
            ReusedClosed, OSError: as `head`.
        """
        assert self._writer is not None
        self._writer.write(piece)
        try:
            await self._writer.drain()
        except ConnectionError as exc:
            if self.served:
                raise ReusedClosed from exc
            raise

    async def head(self) -> tuple[int, str]:
        """
        The length of the answer and the version that gives it.

        Raises:
            ReusedClosed: the connection had served, and was closed instead.
            EOFError, OSError: it broke.
            ValueError: it is not a good answer.
        """
        try:
            head = await self._reader.readexactly(1)
        except (EOFError, ConnectionError) as exc:
            if self.served:
                raise ReusedClosed from exc
            raise
        head += await self._reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        if " 200 " not in status:
            raise ValueError(f"unexpected answer {head!r}")
        self.over = self.last or fields["connection"] == "close"
        self.served += 1
        return int(fields["content-length"]), fields["x-version"]

    async def body(self, length: int) -> bytes:
        return await self._reader.readexactly(length)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


async def hello(talk: Conversation) -> str:
    """A short answer, which repeats the version."""
    async with asyncio.timeout(DEADLINE):
        await talk.ask("GET", "/")
        length, version = await talk.head()
        body = (await talk.body(length)).decode()
    if not body.startswith(f"hello {version} "):
        raise ValueError(f"unexpected body {body[:80]!r} of {version}")
    return version


async def slow(talk: Conversation, milliseconds: int) -> str:
    """An answer that takes its time."""
    async with asyncio.timeout(DEADLINE):
        await talk.ask("GET", f"/slow/{milliseconds}")
        length, version = await talk.head()
        body = await talk.body(length)
    if body != b"slow\n":
        raise ValueError(f"unexpected body {body[:80]!r}")
    return version


async def download(talk: Conversation, milliseconds: int) -> str:
    """Ten mebibytes, spread over *milliseconds*, and their hash."""
    found = hashlib.sha256()
    async with asyncio.timeout(DEADLINE):
        await talk.ask("GET", f"/bytes/{SIZE}/{milliseconds}")
        left, version = await talk.head()
        while left:
            piece = await talk.body(min(left, PIECE))
            found.update(piece)
            left -= len(piece)
    if found.hexdigest() != expected()[0]:
        raise ValueError("the hash is wrong of what was sent")
    return version


async def upload(talk: Conversation, milliseconds: int) -> str:
    """As `download`, in the other direction."""
    content, pause = pattern(SIZE), milliseconds / 1000 / (SIZE // PIECE)
    async with asyncio.timeout(DEADLINE):
        await talk.ask("POST", "/upload", SIZE)
        for start in range(0, SIZE, PIECE):
            await talk.send(content[start : start + PIECE])
            await asyncio.sleep(pause)
        length, version = await talk.head()
        body = (await talk.body(length)).decode()
    if body != expected()[1]:
        raise ValueError(f"the hash is wrong of what was received: {body!r}")
    return version


@cache
def expected() -> tuple[str, str]:
    """The hash of what is downloaded, and the answer to the same uploaded."""
    content = pattern(SIZE)
    answer = f"crc32={zlib.crc32(content):08x} length={SIZE}\n"
    return hashlib.sha256(content).hexdigest(), answer
