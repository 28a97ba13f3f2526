"""
Clients that ask a web server without pause: `python -m tests.standins.clients`.

New connections arrive at a steady rate, however long the answers take; beside
them some clients keep theirs. Each answer has to be complete, and to consist of
one version, line after line. Nobody asks twice for an answer, but for what HTTP
allows (RFC 9112, 9.3.1): a connection that had served before may be closed
before the first byte of the next answer.

What came of it so far is written as a line of JSON ten times a second, and once
more at the end, which comes with SIGTERM, or by itself after `--limit` seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field

from dewy.loop import loop_factory

REQUEST = b"GET %b HTTP/1.1\r\nHost: test\r\nConnection: %b\r\n\r\n"
DEADLINE = 30.0
TICK = 0.005
REPORT = 0.1
MOST_OPEN = 2000
REQUESTS_PER_CONNECTION = 50
PAUSE = 0.01
VERSION = re.compile(r"v\d+\.\d+\.\d+")


@dataclass(slots=True)
class Report:
    """
    Attributes:
        arrivals: New connections tried, those of clients that keep theirs apart.

        answers: Good answers on all connections.

        reused_closed: Connections closed between two answers.

        failures: By cause: refused, reset, short, wrong, silent.

        slowest: Of all good answers, from the wish to the last byte (seconds).
    """

    seconds: float = 0.0
    arrivals: int = 0
    answers: int = 0
    reused_closed: int = 0
    slowest: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        failures = ", ".join(f"{n} {why}" for why, n in self.failures.items())
        return (
            f"{self.arrivals} new connections at {self.arrivals / self.seconds:.0f}/s, "
            f"{self.answers} answers from {len(self.versions)} versions, slowest "
            f"{1000 * self.slowest:.0f} ms, {failures or '0'} failed, "
            f"{self.reused_closed} reused closed"
        )

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    def failed(self, exc: OSError | EOFError | ValueError) -> None:
        self.failures[cause(exc)] += 1
        if len(self.examples) < 5:
            self.examples.append(repr(exc))

    def answered(self, version: str, took: float) -> None:
        self.answers += 1
        self.versions[version] += 1
        self.slowest = max(self.slowest, took)


class ReusedClosed(Exception):
    """A connection that had served was closed; to be tried again on a new one."""


def cause(exc: OSError | EOFError | ValueError) -> str:
    """One word for what a client met with."""
    match exc:
        case ConnectionRefusedError():
            return "refused"
        case ConnectionError():
            return "reset"
        case TimeoutError():
            return "silent"
        case EOFError():
            return "short"
        case ValueError():
            return "wrong"
    return type(exc).__name__


class Clients:
    """Arrivals at *rate* a second, and *kept* clients with a connection each."""

    def __init__(self, port: int, rate: float, kept: int, path: str) -> None:
        self.report = Report()
        self._port = port
        self._rate = rate
        self._kept = kept
        self._path = path.encode()
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Let no more come; what is under way comes to its end."""
        self._stop.set()

    async def run(self) -> None:
        begun = self._loop.time()
        for _ in range(self._kept):
            self._start(self._keep())
        started = 0
        while not self._stop.is_set():
            self.report.seconds = self._loop.time() - begun
            due = int(self.report.seconds * self._rate) - started
            free = MOST_OPEN - len(self._open)
            for _ in range(min(due, free)):
                self._start(self._arrive())
                started += 1
            await asyncio.sleep(TICK)
        while self._open:
            await asyncio.wait(self._open)

    def _start(self, client: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(client)
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _arrive(self) -> None:
        self.report.arrivals += 1
        try:
            await self._connection(1)
        except (OSError, EOFError, ValueError) as exc:
            self.report.failed(exc)

    async def _keep(self) -> None:
        while not self._stop.is_set():
            try:
                await self._connection(REQUESTS_PER_CONNECTION)
            except ReusedClosed:
                self.report.reused_closed += 1
            except (OSError, EOFError, ValueError) as exc:
                self.report.failed(exc)
            await asyncio.sleep(PAUSE)

    async def _connection(self, requests: int) -> None:
        begun = self._loop.time()
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for left in reversed(range(requests)):
                fresh = left == requests - 1
                async with asyncio.timeout(DEADLINE):
                    version, last = await ask(
                        reader, writer, self._path, keep=left > 0, fresh=fresh
                    )
                self.report.answered(version, self._loop.time() - begun)
                if last or self._stop.is_set():
                    return
                await asyncio.sleep(PAUSE)
                begun = self._loop.time()
        finally:
            writer.close()


async def ask(
    reader: StreamReader,
    writer: StreamWriter,
    path: bytes,
    *,
    keep: bool,
    fresh: bool,
) -> tuple[str, bool]:
    """
    One request: the version that answered, and whether it was the last here.

    Raises:
        ReusedClosed: the connection, not *fresh*, was closed instead.
        EOFError, OSError: the answer did not come, or is cut short.
        ValueError: it is not what it has to be.
    """
    try:
        writer.write(REQUEST % (path, b"keep-alive" if keep else b"close"))
        head = await reader.readexactly(1)
    except (EOFError, ConnectionError) as exc:
        if fresh:
            raise
        raise ReusedClosed from exc
    head += await reader.readuntil(b"\r\n\r\n")
    length, last = parse(head)
    return one_version((await reader.readexactly(length)).decode()), last


def parse(head: bytes) -> tuple[int, bool]:
    """The length of the body, and whether the connection ends after it."""
    status, _, fields = head.decode("latin-1").lower().partition("\r\n")
    _, named, after = fields.partition("content-length:")
    if " 200 " not in f"{status} " or not named:
        raise ValueError(f"unexpected answer {head!r}")
    return int(after.partition("\r\n")[0]), "connection: close" in fields


def one_version(body: str) -> str:
    """The version that *body* repeats in every line."""
    (line,) = set(body.splitlines()) or {""}
    if not VERSION.fullmatch(line):
        raise ValueError(f"unexpected body {body[:80]!r}")
    return line


async def main(port: int, rate: float, kept: int, path: str, limit: float) -> None:
    loop = asyncio.get_running_loop()
    clients = Clients(port, rate, kept, path)
    loop.add_signal_handler(signal.SIGTERM, clients.stop)
    loop.call_later(limit, clients.stop)
    running = loop.create_task(clients.run())
    while not running.done():
        await asyncio.wait({running}, timeout=REPORT)
        sys.stdout.write(clients.report.to_json() + "\n")
        sys.stdout.flush()
    running.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--kept", type=int, required=True)
    parser.add_argument("--path", default="/")
    parser.add_argument("--limit", type=float, required=True)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main(**vars(parser.parse_args())))
