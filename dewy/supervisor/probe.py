"""
HTTP health checks of one generation, while others accept on the same socket.

The kernel gives a connection to the first process that accepts it, so an answer alone
says nothing of the new generation. Each request is kept incomplete until it is known
which process accepted it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from asyncio import FIRST_COMPLETED, StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EIO
from typing import Any

from ..errors import StartFailed
from ..histogram import Checks
from ..system import SHORTAGE
from .probe_tally import ProbeResult, ProbeTally, Verdict, judge
from .processes import Endpoint, Ends
from .socket_owner import SocketOwner

log = logging.getLogger(__name__)

STEP = 0.01
# So often we look before anything is sent. Most servers accept all the same, and
# then even one that answers the first bytes it gets can be told apart. One that
# waits for data (TCP_DEFER_ACCEPT) gets the request but for its end after that.
SILENT_LOOKS = 3
LINE_LIMIT = 4096
BODY_LIMIT = 65536
BODY_PATIENCE = 1.0
END = b"\r\n"
SHORTAGES = frozenset(os.strerror(each).lower() for each in SHORTAGE)
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Probe:
    """
    Settings of a health check (seconds).

    Attributes:
        path: Path of the request, with its query.

        timeout: Limit for the whole check.

        good: Number of consecutive good answers that end it.

        interval: Pause between a bad answer and the next request.

        deadline: Limit for one answer.

        host: Host header of the request.
    """

    path: str
    timeout: float
    good: int = 2
    interval: float = 2.0
    deadline: float = 5.0
    host: str = "localhost"


async def wait_healthy(
    address: Endpoint, probe: Probe, leader: int, checks: Checks | None = None
) -> None:
    """
    Return once the generation that *leader* leads answers well.

    Args:
        address: Host and port that it listens on; for a wildcard, loopback is used.

        checks: Counter of the rounds of requests.

    Raises:
        StartFailed: the generation did not in time; the message gives its last answer.
    """
    check = _Check(address, probe, leader, checks or Checks())
    try:
        async with asyncio.timeout(probe.timeout):
            await check.run()
    except TimeoutError:
        reason = check.tally.reason
        raise StartFailed(
            f"{probe.path} was not healthy within {probe.timeout:g} s: {reason}",
            host=reason in SHORTAGES,
        ) from None


class _Check:
    """Single call of `wait_healthy`."""

    def __init__(
        self, address: Endpoint, probe: Probe, leader: int, checks: Checks
    ) -> None:
        host, port = address
        self.tally = ProbeTally(probe.interval)
        self._address = (LOOPBACK.get(host, host), port)
        self._probe = probe
        self._checks = checks
        self._attribution = SocketOwner(leader)

    async def run(self) -> None:
        while True:
            answers = await self._round()
            verdicts = {answer.verdict for answer in answers}
            self._checks.count(Verdict.GOOD in verdicts and Verdict.BAD not in verdicts)
            pause = self.tally.add(answers)
            if self.tally.good >= self._probe.good:
                return
            await asyncio.sleep(pause)

    async def _round(self) -> list[ProbeResult]:
        head = _head(self._probe.host, self._probe.path)
        exchanges = [
            _Exchange(self._address, head, self._probe.deadline)
            for _ in range(self.tally.width)
        ]
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(exchanges), name="attribution")
            asking = [
                group.create_task(exchange.run(), name="health check")
                for exchange in exchanges
            ]
            await asyncio.wait(asking)
            watching.cancel()
        answers = [exchange.answer for exchange in exchanges]
        log.debug("Probed", extra={"answers": [answer.reason for answer in answers]})
        return answers

    async def _watch(self, exchanges: Sequence[_Exchange]) -> None:
        """
        Tell exchanges whose they are: one look for all, as a look may take long.
        """
        while True:
            asked = {e.ends: e for e in exchanges if e.ends and not e.ours.done()}
            if asked:
                known = await asyncio.to_thread(self._attribution.look, asked.keys())
                for ends, exchange in asked.items():
                    exchange.looked_at(known.get(ends))
            await asyncio.sleep(STEP)


class _Exchange:
    """
    Request and its answer.

    Attributes:
        answer: Current knowledge of the answer.

        ends: The connection, once there is one.

        ours: Whether the new generation accepted it, once that is known.
    """

    def __init__(self, address: Endpoint, head: bytes, deadline: float) -> None:
        self.answer = ProbeResult(Verdict.UNKNOWN, f"no answer in {deadline:g} s")
        self.ends: Ends | None = None
        self.ours: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._looks = 0
        self._unclaimed: asyncio.Future[None] = self.ours.get_loop().create_future()
        self._address = address
        self._head = head
        self._deadline = deadline

    def looked_at(self, ours: bool | None) -> None:
        """Note which generation has the connection; None if none has it yet."""
        self._looks += 1
        if ours is not None and not self.ours.done():
            self.ours.set_result(ours)
        if self._looks == SILENT_LOOKS and not self._unclaimed.done():
            self._unclaimed.set_result(None)

    async def run(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline):
                await self._connect()

    async def _connect(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(
                *self._address, limit=LINE_LIMIT
            )
        except OSError as exc:
            self._learn(reason=os.strerror(exc.errno or EIO).lower())
            return
        line = asyncio.create_task(_status_line(reader), name="health check answer")
        try:
            await self._converse(writer, line)
            await _read_rest(reader, line)
        finally:
            writer.close()
            line.cancel()
            self.ours.cancel()
            await asyncio.wait({line})

    async def _converse(self, writer: StreamWriter, line: asyncio.Task[bytes]) -> None:
        self.ends = _ends(writer)
        known: set[asyncio.Future[Any]] = {line, self.ours}
        await asyncio.wait({*known, self._unclaimed}, return_when=FIRST_COMPLETED)
        if self.ours.done():
            writer.write(self._head + END)
        else:
            writer.write(self._head)
            await asyncio.wait(known, return_when=FIRST_COMPLETED)
            writer.write(END)
        if not self.ours.done():
            self._learn(reason="the connection ended before it was known whose")
        elif self.ours.result():
            self._learn(Verdict.BAD)
            self.answer = judge(await line)
        else:
            self._learn(Verdict.STRANGER, "only the old generation answered")

    def _learn(self, verdict: Verdict | None = None, reason: str = "") -> None:
        known = self.answer
        self.answer = ProbeResult(
            known.verdict if verdict is None else verdict, reason or known.reason
        )


def _ends(writer: StreamWriter) -> Ends | None:
    """Return the connection as the server sees it; None where it is gone already."""
    local, remote = map(writer.get_extra_info, ("peername", "sockname"))
    return Ends(local[:2], remote[:2]) if local and remote else None


async def _status_line(reader: StreamReader) -> bytes:
    """Return the first line of the answer; empty if there is none."""
    try:
        return await reader.readline()
    except OSError:
        return b""
    except ValueError:
        return b"longer than any status line"


async def _read_rest(reader: StreamReader, line: asyncio.Task[bytes]) -> None:
    """Read to the end, so that closing resets nothing the server still sends."""
    with suppress(TimeoutError, OSError, EOFError):
        async with asyncio.timeout(BODY_PATIENCE):
            await asyncio.wait({line})
            await reader.readexactly(BODY_LIMIT)


def _head(host: str, path: str) -> bytes:
    """Return a request without its end."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: dewy\r\n"
        "Accept: */*\r\nConnection: close\r\n"
    ).encode()
