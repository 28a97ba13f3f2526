"""Health of a replica: a single check, and the verdict over several."""

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

from .._speedups.peers import is_self_connected
from .._speedups.proxy_protocol import LOCAL
from ..config import Endpoint
from ..histogram import CheckResult
from ..system import SHORTAGE

__all__ = ["LATE", "HealthCheck", "HealthTracker", "with_usual_cause"]

LATE = "did not answer within"
MOMENT = 0.1  # a port may be accepted for an application that is not there yet
LINE_LIMIT = 4096
BODY_LIMIT = 65536
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """
    Health check of a replica.

    Attributes:
        path: Path of an HTTP request to its first port, to be answered by 2xx or 3xx;
            "" to check for a connection only, as on its other ports.

        proxy_protocol: Whether the replica expects the PROXY protocol first, which then
            names no client.

        timeout: Seconds for one answer.

        host: Host header of the request; applications refuse unknown ones.

        upstream: Way to reach it: `auto`, `direct` or `published`.
    """

    path: str = ""
    proxy_protocol: bool = False
    timeout: float = 5.0
    host: str = "localhost"
    upstream: str = "auto"

    async def ask(self, endpoints: Sequence[Endpoint]) -> CheckResult:
        """
        Check the replica at all *endpoints*; of good answers the slowest counts.
        """
        asking = [self._ask(each, first=not n) for n, each in enumerate(endpoints)]
        results = await asyncio.gather(*asking)
        bad = next((result for result in results if result.problem), None)
        return bad or max(results, key=_latency, default=CheckResult())

    async def _ask(self, endpoint: Endpoint, *, first: bool) -> CheckResult:
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.timeout):
                reader, writer = await _connected(endpoint)
                try:
                    return await self._converse(endpoint, reader, writer, first, begun)
                finally:
                    writer.close()
        except TimeoutError:
            return CheckResult(f"{endpoint} {LATE} {self.timeout:g} s")
        except OSError as exc:
            problem = f"{endpoint}: {os.strerror(exc.errno or EIO).lower()}"
            return CheckResult(problem, unasked=exc.errno in SHORTAGE)

    async def _converse(
        self,
        endpoint: Endpoint,
        reader: StreamReader,
        writer: StreamWriter,
        first: bool,
        begun: float,
    ) -> CheckResult:
        loop = asyncio.get_running_loop()
        if self.proxy_protocol:
            writer.write(LOCAL)
        if not (first and self.path):
            latency = loop.time() - begun
            stays = await _stays(reader)
            fault = "" if stays else f"{endpoint} closed the connection"
            return CheckResult(fault, latency)
        writer.write(_request(self.host, self.path))
        line = await _line(reader)
        fault, latency = _judged(line, endpoint, self.path), loop.time() - begun
        with suppress(TimeoutError, OSError, EOFError):
            # Read to the end, so that closing resets nothing the replica still sends.
            async with asyncio.timeout(1.0):
                await reader.readexactly(BODY_LIMIT)
        return CheckResult(fault, latency)


@dataclass(frozen=True, slots=True)
class HealthTracker:
    """
    Verdict over several checks of a replica, of which it takes a row to change it.

    Attributes:
        healthy: The verdict.

        row: Number of consecutive checks that contradicted the verdict.
    """

    healthy: bool = True
    row: int = 0

    def after(self, good: bool, rise: int, fall: int) -> Self:
        """
        Return the tracker after one more check.

        *rise* good or *fall* bad checks in a row change the verdict.
        """
        if good == self.healthy:
            return replace(self, row=0)
        row = self.row + 1
        if row < (fall if self.healthy else rise):
            return replace(self, row=row)
        return replace(self, healthy=good, row=0)


def _latency(result: CheckResult) -> float:
    return result.latency or 0.0


def with_usual_cause(problem: str) -> str:
    """Return *problem* of a replica that was never ready, with its usual cause."""
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
    """Return whether the connection is still open a moment later, or data arrived."""
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
