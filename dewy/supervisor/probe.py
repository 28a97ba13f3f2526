"""
HTTP health checks of one generation, while others accept on the same socket.

The kernel gives a connection to whoever accepts it first, so an answer alone
says nothing of the new generation. Whose it is tells the inode of the accepted
socket: /proc/net/tcp names it, and /proc/PID/fd who has it open. There is no
event for either, so both are polled while the request is kept incomplete.
"""

from __future__ import annotations

import asyncio
import logging
import os
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from dataclasses import dataclass
from errno import EIO
from itertools import count

from ..errors import StartFailed
from .answers import Answer, Tally, Verdict, judge
from .processes import Endpoint, accepted_inode, holds, members

log = logging.getLogger(__name__)

STEP = 0.01
# Connections on which nothing is sent yet for this many steps: most servers accept
# them, and even one that answers the first bytes it gets can then be told apart.
SILENT_STEPS = 3
# A socket shows up in the table a moment before it is in its process's hands.
STRANGER_STEPS = 3
LINE_LIMIT = 4096
BODY_LIMIT = 65536
BODY_PATIENCE = 1.0
END = b"\r\n"
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Probe:
    """
    What to ask, and how patiently (seconds).

    Attributes:
        path: Of the request, with its query.

        timeout: For the whole check.

        good: How many good answers in a row end it.

        interval: Between a bad answer and the next request.

        deadline: For one answer.
    """

    path: str
    timeout: float
    good: int = 2
    interval: float = 2.0
    deadline: float = 5.0


async def wait_healthy(address: Endpoint, probe: Probe, leader: int) -> None:
    """
    Return once the generation that *leader* leads answers well.

    Args:
        address: Host and port that it listens on; a wildcard is asked on loopback.

    Raises:
        StartFailed: it did not in time; with what its last answer was.
    """
    check = _Check(address, probe, leader)
    try:
        async with asyncio.timeout(probe.timeout):
            await check.run()
    except TimeoutError:
        raise StartFailed(
            f"{probe.path} was not healthy within {probe.timeout:g} s: "
            f"{check.tally.reason}"
        ) from None


class _Check:
    """One call of `wait_healthy`."""

    def __init__(self, address: Endpoint, probe: Probe, leader: int) -> None:
        host, port = address
        self.address = (LOOPBACK.get(host, host), port)
        self.deadline = probe.deadline
        self.head = _head(self.address, probe.path)
        self.tally = Tally(probe.interval)
        self._enough = probe.good
        self._leader = leader
        self._told = False
        # The tables of a busy host are long: one reader at a time.
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        while True:
            pause = self.tally.add(await self._round())
            if self.tally.good >= self._enough:
                return
            await asyncio.sleep(pause)

    async def _round(self) -> list[Answer]:
        async with asyncio.TaskGroup() as group:
            asking = [
                group.create_task(_Exchange(self).answered(), name="health check")
                for _ in range(self.tally.width)
            ]
        answers = [task.result() for task in asking]
        log.debug("Probed", extra={"answers": [a.reason for a in answers]})
        return answers

    async def is_ours(self, local: Endpoint, remote: Endpoint) -> bool | None:
        """Whether the new generation accepted this connection; None: nobody yet."""
        async with self._looking:
            try:
                return await asyncio.to_thread(_look, self._leader, local, remote)
            except (FileNotFoundError, PermissionError) as exc:
                self._tell(exc)
                return True
            except OSError:
                return None  # out of descriptors, say: look again

    def _tell(self, exc: OSError) -> None:
        if not self._told:
            self._told = True
            log.warning(
                "Health check counted answers of any generation",
                extra={"error": str(exc)},
            )


class _Exchange:
    """One request; `answer` is what is known of it so far."""

    def __init__(self, check: _Check) -> None:
        self.answer = Answer(Verdict.UNKNOWN, f"no answer in {check.deadline:g} s")
        self._check = check
        self._unsent = check.head + END

    async def answered(self) -> Answer:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._check.deadline):
                await self._connect()
        return self.answer

    async def _connect(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(
                *self._check.address, limit=LINE_LIMIT
            )
        except OSError as exc:
            self._learn(reason=os.strerror(exc.errno or EIO).lower())
            return
        line = asyncio.create_task(_status_line(reader), name="health check answer")
        try:
            ours = await self._is_ours(writer, line)
            writer.write(self._unsent)
            if ours:
                self.answer = judge(await line)
            await _read_rest(reader, line)
        finally:
            writer.close()
            line.cancel()
            await asyncio.wait({line})

    async def _is_ours(self, writer: StreamWriter, line: asyncio.Task[bytes]) -> bool:
        """Wait until it is known whose answer this will be."""
        local, remote = map(writer.get_extra_info, ("peername", "sockname"))
        strange = 0
        for step in count():
            if step == SILENT_STEPS:
                writer.write(self._check.head)
                self._unsent = END
            if line.done() or not (local and remote):
                self._learn(reason="the connection ended before it was known whose")
                return False
            ours = await self._check.is_ours(local[:2], remote[:2])
            strange += ours is False
            if ours:
                self._learn(Verdict.BAD)
                return True
            if strange == STRANGER_STEPS:
                self._learn(Verdict.STRANGER, "only the old generation answered")
                return False
            await asyncio.wait({line}, timeout=STEP)
        raise AssertionError("unreachable")

    def _learn(self, verdict: Verdict | None = None, reason: str = "") -> None:
        known = self.answer
        self.answer = Answer(
            known.verdict if verdict is None else verdict, reason or known.reason
        )


def _look(leader: int, local: Endpoint, remote: Endpoint) -> bool | None:
    inode = accepted_inode(local, remote)
    return holds(members(leader), inode) if inode else None


async def _status_line(reader: StreamReader) -> bytes:
    """The first line of the answer; empty if there is none."""
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


def _head(address: Endpoint, path: str) -> bytes:
    """A request but for its end."""
    host, port = address
    name = f"[{host}]" if ":" in host else host
    return (
        f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: dewy\r\n"
        "Accept: */*\r\nConnection: close\r\n"
    ).encode()
