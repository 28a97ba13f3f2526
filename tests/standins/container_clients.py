"""
Clients of a container: `python -m tests.standins.container_clients`.

Four kinds at a time: each request on a new connection, at a steady rate; clients
that keep their connection; such whose answer takes five seconds; such that send
or receive ten mebibytes, all of which are hashed. Each answer has to be complete
and to be of one version.

A client asks again only where HTTP lets it (RFC 9112, 9.3.1): a connection that
had served before was closed before the first byte of the next answer. These are
counted. What came of it so far is written as a line of JSON ten times a second
and once more at the end, which comes with SIGTERM, or by itself after `--limit`
seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dewy.loop import loop_factory
from tests.standins.clients import cause
from tests.standins.conversation import (
    SIZE,
    Conversation,
    ReusedClosed,
    download,
    hello,
    slow,
    upload,
)

TICK = 0.005
REPORT = 0.1
MOST_OPEN = 1000
REQUESTS_PER_CONNECTION = 200
PAUSE = 0.01
SLOW_MS = 5000
SPREAD_MS = 1500
EXAMPLES = 50

Ask = Callable[[Conversation], Awaitable[str]]


@dataclass(slots=True)
class Tally:
    """
    Attributes:
        answers: Good ones, by kind of client.

        versions: How many of them each version gave, where they say.

        retried: Requests repeated as their reused connection had been closed.

        failures: By cause: refused, reset, short, wrong, silent.

        examples: Of failures: when (seconds since the epoch), who, what.

        broken: The numbers of the first connections that ended before an answer
            did, whether that was a failure or its request could be retried.

        broken_since: When each of them was begun (seconds since the epoch).

        hashed: Bytes of streams whose hash was right.

        slowest: Of all answers that were asked for at once (seconds).
    """

    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    broken_since: list[float] = field(default_factory=list)
    hashed: int = 0
    slowest: float = 0.0

    def __str__(self) -> str:
        kinds = ", ".join(
            f"{self.answers[kind]} {kind}" for kind in sorted(self.answers)
        )
        failures = ", ".join(f"{n} {why}" for why, n in self.failures.items())
        return (
            f"{self.total} requests in {self.seconds:.0f} s ({kinds}), "
            f"{self.hashed >> 20} MiB hashed, {len(self.versions)} versions, "
            f"{failures or '0'} failed, {self.retried} retried on a reused "
            f"connection, slowest {1000 * self.slowest:.0f} ms"
        )

    @property
    def total(self) -> int:
        """All good answers."""
        return sum(self.answers.values())

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def from_json(cls, line: bytes) -> Tally:
        found = json.loads(line)
        for name in ("answers", "versions", "failures"):
            found[name] = Counter(found[name])
        return cls(**found)

    def failed(self, kind: str, exc: OSError | EOFError | ValueError) -> None:
        self.failures[cause(exc)] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{time.time():.3f} {kind}: {exc!r}")

    def broke(self, number: int, begun: float) -> None:
        if len(self.broken) < EXAMPLES:
            self.broken.append(number)
            self.broken_since.append(begun)


class Clients:
    """All kinds of them, on one port."""

    def __init__(self, port: int) -> None:
        self.tally = Tally()
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Let no more come; what is under way comes to its end."""
        self._stop.set()

    async def run(self, rate: float, kept: int, slow_: int, streams: int) -> None:
        begun, started = self._loop.time(), 0
        for _ in range(kept):
            self._start(self._keep("keep-alive", hello, REQUESTS_PER_CONNECTION))
        for _ in range(slow_):
            self._start(self._keep("slow", lambda c: slow(c, SLOW_MS), 2))
        for _ in range(streams):
            self._start(self._keep("down", lambda c: download(c, SPREAD_MS), 2))
            self._start(self._keep("up", lambda c: upload(c, SPREAD_MS), 2))
        while not self._stop.is_set():
            self.tally.seconds = self._loop.time() - begun
            due = int(self.tally.seconds * rate) - started
            for _ in range(max(0, min(due, MOST_OPEN - len(self._tasks)))):
                self._start(self._converse("new", hello, 1))
                started += 1
            await asyncio.sleep(TICK)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, client: Awaitable[None]) -> None:
        async def live() -> None:
            await client

        task = self._loop.create_task(live())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, kind: str, ask: Ask, requests: int) -> None:
        while not self._stop.is_set():
            await self._converse(kind, ask, requests)
            await asyncio.sleep(PAUSE)

    async def _converse(self, kind: str, ask: Ask, requests: int) -> None:
        """One connection and its requests, and what a failure came from."""
        talk, begun = Conversation(self._port), time.time()
        try:
            for left in reversed(range(requests)):
                await self._answered(kind, ask, talk, last=not left)
                if talk.over or self._stop.is_set():
                    return
                await asyncio.sleep(PAUSE)
        except ReusedClosed:
            # The request is asked again: by the connection that comes next.
            self.tally.retried += 1
            self.tally.broke(talk.number, begun)
        except (OSError, EOFError, ValueError) as exc:
            where = f"{kind} #{talk.number} {talk.local} {talk.served} served"
            self.tally.failed(where, exc)
            self.tally.broke(talk.number, begun)
        finally:
            talk.close()

    async def _answered(
        self, kind: str, ask: Ask, talk: Conversation, *, last: bool
    ) -> None:
        begun = self._loop.time()
        talk.last = last
        version = await ask(talk)
        self.tally.answers[kind] += 1
        self.tally.versions[version] += 1
        if kind in ("down", "up"):
            self.tally.hashed += SIZE
        elif kind != "slow":
            took = self._loop.time() - begun
            self.tally.slowest = max(self.tally.slowest, took)


async def main(
    port: int, rate: float, kept: int, slow: int, streams: int, limit: float
) -> None:
    loop = asyncio.get_running_loop()
    clients = Clients(port)
    loop.add_signal_handler(signal.SIGTERM, clients.stop)
    loop.call_later(limit, clients.stop)
    running = loop.create_task(clients.run(rate, kept, slow, streams))
    while not running.done():
        await asyncio.wait({running}, timeout=REPORT)
        sys.stdout.write(clients.tally.to_json() + "\n")
        sys.stdout.flush()
    running.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    for kind in ("kept", "slow", "streams"):
        parser.add_argument(f"--{kind}", type=int, required=True)
    parser.add_argument("--limit", type=float, required=True)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main(**vars(parser.parse_args())))
