"""
HTTP health checks of one generation, while others accept on the same socket.

The kernel gives a connection to the first process that accepts it, so an answer alone
says nothing of the new generation. Each request is kept incomplete until it is known
which process accepted it.

The inode of the accepted socket identifies it: /proc/net/tcp lists the inode, and
/proc/PID/fd the process that has it open. There is no event for either, so a caller has
to look again and again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from asyncio import FIRST_COMPLETED, StreamReader, StreamWriter
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from errno import EIO
from typing import Any

from ..errors import StartFailed
from ..histogram import Checks
from ..system import SHORTAGE
from .policy import Policy
from .processes import Endpoint, Ends, accepted_inodes, held, members
from .worker import Worker, cancel

__all__ = [
    "FirstAnswer",
    "answering",
]

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


async def answering(
    worker: Worker, address: Endpoint, policy: Policy, checks: Checks, good: int = 2
) -> None:
    """
    Return once *worker* has given *good* good answers in a row at the health path.

    Raises:
        StartFailed: it ended, or did not within the policy's health time-out.
    """
    probe = Probe(
        policy.health_path, policy.health_timeout, good, host=policy.health_host
    )
    healthy = wait_healthy(address, probe, worker.pid, checks)
    await worker.unless_ended(healthy)


class FirstAnswer:
    """
    Wait for the first answer of the generation that took over last.

    One that is started where nothing serves takes over at once, and its clients wait in
    the queue of the listeners until it answers.

    Args:
        serves: Called with the generation once it has answered, or said READY=1.

    Attributes:
        missed: Generation that gave none within the health time-out.
    """

    def __init__(self, serves: Callable[[Worker], None]) -> None:
        self._serves = serves
        self.missed: Worker | None = None
        self._task: asyncio.Task[None] | None = None

    def expect(
        self, worker: Worker, address: Endpoint, policy: Policy, checks: Checks
    ) -> None:
        """Wait for the one of *worker* from now on, and no longer for any other."""
        if self._task:
            self._task.cancel()
        self._task = asyncio.create_task(
            self._wait(worker, address, policy, checks), name="first answer"
        )

    async def close(self) -> None:
        """Wait no longer; idempotent."""
        if self._task:
            await cancel(self._task)

    async def _wait(
        self, worker: Worker, address: Endpoint, policy: Policy, checks: Checks
    ) -> None:
        ready = asyncio.create_task(worker.notify.ready.wait(), name="first READY=1")
        answer = asyncio.create_task(
            answering(worker, address, policy, checks, good=1), name="health check"
        )
        try:
            await asyncio.wait({ready, answer}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                answer.result()
            self._serves(worker)
        except StartFailed:
            self.missed = worker
        finally:
            await cancel(ready)
            await cancel(answer)


MOST_CONNECTIONS = 8
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})\b")


class Verdict(IntEnum):
    """Result of one request; a higher one says more of the new generation."""

    UNKNOWN = 0
    STRANGER = 1
    GOOD = 2
    BAD = 3


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Verdict with its reason in words."""

    verdict: Verdict
    reason: str


class ProbeTally:
    """
    Tally of the answers so far, which decides the next step; no input or output.

    Attributes:
        good: Consecutive good answers of the new generation.

        width: Number of connections to open at a time. It grows while others accept
            them all, so that a busy old generation cannot do so for ever.

        reason: The most telling answer so far that was not good.
    """

    def __init__(self, interval: float) -> None:
        self.good = 0
        self.width = 1
        self.reason = "no answer"
        self._interval = interval
        self._pause = SHORTEST_PAUSE
        self._telling = Verdict.UNKNOWN

    def add(self, answers: Sequence[ProbeResult]) -> float:
        """Count one round of *answers*; return the seconds until the next."""
        for answer in answers:
            if answer.verdict >= self._telling and answer.verdict != Verdict.GOOD:
                self._telling, self.reason = answer.verdict, answer.reason
        verdicts = [answer.verdict for answer in answers]
        if Verdict.BAD in verdicts:
            self.good = 0
            return self._interval
        if Verdict.GOOD in verdicts:
            self.good += verdicts.count(Verdict.GOOD)
            return 0.0
        if Verdict.STRANGER in verdicts:
            self.width = min(self.width * 2, MOST_CONNECTIONS)
        pause, self._pause = self._pause, min(self._pause * 1.5, LONGEST_PAUSE)
        return pause


def judge(line: bytes) -> ProbeResult:
    """Return the answer in a status line; redirects are good, and not followed."""
    if not line:
        return ProbeResult(Verdict.BAD, "closed the connection without an answer")
    status = STATUS.match(line)
    if status is None:
        return ProbeResult(Verdict.BAD, "answered something other than HTTP")
    good = 200 <= int(status[1]) < 400
    return ProbeResult(
        Verdict.GOOD if good else Verdict.BAD, f"answered {status[1].decode()}"
    )


# A socket is in the table a moment before its process holds its descriptor.
LOOKS = 3


class SocketOwner:
    """
    Classifier of connections, by whether *leader*'s generation accepted them.

    Where the system does not tell, every connection counts as that generation's; this
    is logged once.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._strange: Counter[Ends] = Counter()
        self._told = False

    def look(self, connections: Collection[Ends]) -> dict[Ends, bool]:
        """
        Return the *connections* known now, each with whether it is the generation's.

        The call reads long files: it belongs in a thread.
        """
        try:
            inodes = accepted_inodes(connections)
        except (FileNotFoundError, PermissionError) as exc:
            return self._assume(connections, exc)
        except OSError:
            return {}  # out of descriptors, say: another look may tell
        try:
            ours = held(members(self._leader), inodes.values())
        except PermissionError as exc:
            return self._assume(inodes, exc)
        except OSError:
            return {}
        return self._known({ends: inode in ours for ends, inode in inodes.items()})

    def _known(self, seen: dict[Ends, bool]) -> dict[Ends, bool]:
        """Leave out those that seem foreign for the first few times."""
        self._strange.update(ends for ends, ours in seen.items() if not ours)
        return {
            ends: ours
            for ends, ours in seen.items()
            if ours or self._strange[ends] >= LOOKS
        }

    def _assume(self, connections: Collection[Ends], exc: OSError) -> dict[Ends, bool]:
        if not self._told:
            self._told = True
            log.warning(
                "Health check counts answers of any generation",
                extra={"error": str(exc)},
            )
        return dict.fromkeys(connections, True)
