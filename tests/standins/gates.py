"""A door before a server: what comes through it can be held up, cut, or spoilt."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from pathlib import Path
from typing import Self

PIECE = 1 << 16
GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnonsense\n"


class Gate:
    """
    Relays to *behind*, `HOST:PORT` or the path of a Unix socket, from its like.

    Attributes:
        place: Where it listens, of the same kind.

        mode: `open`, `shut` (what comes waits for an answer), `garbage` (is
            answered with nonsense) or `broken` (is cut off).

        spurned: Connections are cut when somebody sends this; b"" for never.

        answers: What is answered in the server's place to who sends the key; the
            connection ends then.

        asked: How many connections there were.
    """

    def __init__(self, behind: str, directory: Path | None = None) -> None:
        self.place = str(directory / "gate.sock") if directory else ""
        self.mode = "open"
        self.spurned = b""
        self.answers: dict[bytes, bytes] = {}
        self.asked = 0
        self._behind = behind
        self._changed = asyncio.Event()
        self._relaying: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        if self.place:
            self._server = await asyncio.start_unix_server(self._serve, self.place)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.place = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    def turn(self, mode: str) -> None:
        """Be *mode* from now on, to those that wait, too."""
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    async def cut(self) -> None:
        """End all that is open."""
        tasks = set(self._relaying)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.asked += 1
        task = asyncio.current_task()
        assert task is not None
        self._relaying.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                while self.mode == "shut":
                    await self._changed.wait()
                if self.mode == "garbage":
                    await reader.read(PIECE)
                    writer.write(GARBAGE)
                    await writer.drain()
                elif self.mode == "open":
                    await self._relay(reader, writer)
        finally:
            self._relaying.discard(task)
            writer.close()

    async def _relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        there, thither = await self._connected()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy_in(reader, thither, writer))
                group.create_task(_copy(there, writer))
        except* (OSError, EOFError):
            pass
        finally:
            thither.close()

    async def _copy_in(
        self, reader: StreamReader, thither: StreamWriter, back: StreamWriter
    ) -> None:
        while piece := await reader.read(PIECE):
            if self.spurned and self.spurned in piece:
                raise EOFError
            for key, said in self.answers.items():
                if key in piece:
                    back.write(said)
                    await back.drain()
                    raise EOFError
            thither.write(piece)
            await thither.drain()
        if thither.can_write_eof():
            thither.write_eof()

    async def _connected(self) -> tuple[StreamReader, StreamWriter]:
        if self._behind.startswith("/"):
            return await asyncio.open_unix_connection(self._behind)
        host, port = self._behind.rsplit(":", 1)
        return await asyncio.open_connection(host, int(port))


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def answer(status: str, body: str = "", *fields: str) -> bytes:
    """An HTTP answer, for `Gate.answers`."""
    size = f"Content-Length: {len(body)}"
    lines = (f"HTTP/1.1 {status}", size, "Connection: close", *fields, "", body)
    return "\r\n".join(lines).encode()
