"""Whether a replica does its work: one look at it, and what a row of looks means."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from errno import ECONNREFUSED, EIO
from typing import Self

from .._speedups.proxy_protocol import LOCAL
from .._speedups.self_connection import is_self_connected
from ..config import Endpoint

__all__ = ["LATE", "Check", "HealthTracker", "with_usual_cause"]

LATE = "did not answer within"
MOMENT = 0.1  # a port may be accepted for an application that is not there yet
LINE_LIMIT = 4096
BODY_LIMIT = 65536
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


@dataclass(frozen=True, slots=True)
class Check:
    """
    What a replica is asked.

    Attributes:
        path: Of an HTTP request to its first port, answered by 2xx or 3xx; "" to
            ask only for a connection, as of its other ports.

        proxy_protocol: It expects to be told first who connects: nobody does.

        timeout: Seconds for one answer.

        host: Host header of the request; applications refuse unknown ones.
    """

    path: str = ""
    proxy_protocol: bool = False
    timeout: float = 5.0
    host: str = "localhost"

    async def ask(self, endpoints: Sequence[Endpoint]) -> str:
        """What is wrong with the replica at *endpoints*; "" if nothing is."""
        asking = [self._ask(each, first=not n) for n, each in enumerate(endpoints)]
        return next((found for found in await asyncio.gather(*asking) if found), "")

    async def _ask(self, endpoint: Endpoint, *, first: bool) -> str:
        try:
            async with asyncio.timeout(self.timeout):
                reader, writer = await _connected(endpoint)
                try:
                    return await self._converse(endpoint, reader, writer, first)
                finally:
                    writer.close()
        except TimeoutError:
            return f"{endpoint} {LATE} {self.timeout:g} s"
        except OSError as exc:
            return f"{endpoint}: {os.strerror(exc.errno or EIO).lower()}"

    async def _converse(
        self,
        endpoint: Endpoint,
        reader: StreamReader,
        writer: StreamWriter,
        first: bool,
    ) -> str:
        if self.proxy_protocol:
            writer.write(LOCAL)
        if not (first and self.path):
            return "" if await _stays(reader) else f"{endpoint} closed the connection"
        writer.write(_request(self.host, self.path))
        fault = _judged(await _line(reader), endpoint, self.path)
        with suppress(TimeoutError, OSError, EOFError):
            # To the end, so that closing resets nothing the replica still sends.
            async with asyncio.timeout(1.0):
                await reader.readexactly(BODY_LIMIT)
        return fault


@dataclass(frozen=True, slots=True)
class HealthTracker:
    """
    What the looks at a replica come to: it takes several to change the verdict.

    Attributes:
        rise, fall: How many good or bad ones in a row do.

        healthy: The verdict.

        row: How many in a row spoke against it.
    """

    rise: int = 2
    fall: int = 3
    healthy: bool = True
    row: int = 0

    def after(self, good: bool) -> Self:
        """The pulse after one more look."""
        if good == self.healthy:
            return replace(self, row=0)
        row = self.row + 1
        if row < (self.fall if self.healthy else self.rise):
            return replace(self, row=row)
        return replace(self, healthy=good, row=0)


def with_usual_cause(problem: str) -> str:
    """*problem* of a replica that was never ready, and what often leads to it."""
    if not any(words in problem for words in _TURNED_AWAY):
        return problem
    return (
        f"{problem} (it may listen on 127.0.0.1 only; inside a container listen on "
        "0.0.0.0)"
    )


_TURNED_AWAY = ("connection refused", "connection reset", "closed the connection")


async def _connected(endpoint: Endpoint) -> tuple[StreamReader, StreamWriter]:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, endpoint.address)
        if is_self_connected(sock):
            raise ConnectionRefusedError(ECONNREFUSED, os.strerror(ECONNREFUSED))
        return await asyncio.open_connection(sock=sock, limit=LINE_LIMIT)
    except BaseException:
        sock.close()
        raise


async def _stays(reader: StreamReader) -> bool:
    """Whether the connection is still open a moment later, or something came."""
    try:
        async with asyncio.timeout(MOMENT):
            return bool(await reader.read(1))
    except TimeoutError:
        return True


async def _line(reader: StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        return b"longer than any status line"


def _judged(line: bytes, endpoint: Endpoint, path: str) -> str:
    match = _STATUS.match(line)
    if match is None:
        what = "something that is not HTTP" if line else "nothing"
        return f"{endpoint}{path} answered {what}"
    status = int(match[1])
    return "" if 200 <= status < 400 else f"{endpoint}{path} answered {status}"


def _request(host: str, path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: dewy\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode()
