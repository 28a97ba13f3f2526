"""A relay on a loop of its own, and plain blocking sockets on both sides of it."""

from __future__ import annotations

import asyncio
import functools
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from dewy._speedups.interface import BackendStats, Event, PortStats, WorkerStats
from dewy.loop import loop_factory
from tests.eventually import DEADLINE
from tests.eventually import soon as soon

T = TypeVar("T")

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Origin:
    """A backend that does nothing of itself: tests accept and answer."""

    listener: socket.socket

    @property
    def address(self) -> Any:
        return self.listener.getsockname()

    def accept(self, seconds: float = DEADLINE) -> socket.socket:
        """The next connection; TimeoutError when none comes."""
        self.listener.settimeout(seconds)
        sock, _ = self.listener.accept()
        sock.settimeout(DEADLINE)
        return sock


class Plane:
    """
    A started relay. Its methods are called in its loop's thread, here as `call`.

    Attributes:
        events: What `step` has returned so far.
    """

    def __init__(self, relay: Callable[..., Any], threads: int, **options: Any) -> None:
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, args=(relay, threads, options), name="plane"
        )
        self._failure: BaseException | None = None
        self._thread.start()
        self._ready.wait(DEADLINE)
        if self._failure:
            raise self._failure

    def _run(self, relay: Callable[..., Any], threads: int, options: Any) -> None:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(self._serve(relay, threads, options))

    async def _serve(self, relay: Callable[..., Any], threads: int, opts: Any) -> None:
        self.loop = asyncio.get_running_loop()
        try:
            self.relay = relay(threads, **opts)
            self.relay.start()
        except (OSError, ValueError) as exc:
            self._failure = exc
            return
        finally:
            self._ready.set()
        self.loop.add_reader(self.relay.fileno(), self._step)
        await self._stop.wait()
        self.loop.remove_reader(self.relay.fileno())
        self.relay.close()

    def _step(self) -> None:
        with self._changed:
            self.events += self.relay.step()
            self._changed.notify_all()

    def close(self) -> None:
        """Reset what is open; idempotent."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Its result, in the loop's thread."""

        async def calling() -> T:
            return function(*args, **kwargs)

        return self.finish(calling())

    def finish(self, doing: Coroutine[Any, Any, T], seconds: float = 2 * DEADLINE) -> T:
        """What *doing* returns, run on the loop."""
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result(seconds)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Its loop does nothing meanwhile; what happens is all news to it then."""
        begun, over = threading.Event(), threading.Event()
        self.loop.call_soon_threadsafe(begun.set)
        self.loop.call_soon_threadsafe(over.wait, DEADLINE)
        assert begun.wait(DEADLINE)
        try:
            yield
        finally:
            over.set()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return functools.partial(self.call, getattr(self.relay, name))

    def told(self, kind: int, subject: int, seconds: float = DEADLINE) -> bool:
        """Whether that event comes, within *seconds*."""
        with self._changed:
            return self._changed.wait_for(
                lambda: any((kind, subject) == each[:2] for each in self.events),
                seconds,
            )

    def listen(self, *origins: Origin, **options: Any) -> Gate:
        """A port before *origins*."""
        with listening() as listener:
            port = self.open_port(listener)
            address = listener.getsockname()
        gate = Gate(self, port, address, [])
        gate.backends = [gate.add(origin) for origin in origins]
        return gate

    def passes_by(self, origin: Origin) -> None:
        """Let a client of a new port be the next to come to *origin*."""
        with self.listen(origin).connect() as client:
            client.sendall(b"#")
            with origin.accept() as server:
                # Whoever was let in before would be met in its place.
                assert b"#" == exactly(server, 1)
                server.sendall(b"#")
                assert b"#" == exactly(client, 1)

    def worker(self) -> list[WorkerStats]:
        """Each worker's share."""
        found: list[WorkerStats] = self.worker_stats()
        return found


@dataclass
class Gate:
    """A port of the plane, as clients and tests see it."""

    plane: Plane
    number: int
    address: Any
    backends: list[int]

    def add(self, origin: Origin, **options: Any) -> int:
        """The number of a new backend."""
        family = origin.listener.family
        number: int = self.plane.add_backend(
            self.number, family, origin.address, **options
        )
        return number

    def connect(self) -> socket.socket:
        """A client."""
        family = socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX
        if family == socket.AF_INET and ":" in self.address[0]:
            family = socket.AF_INET6
        client = socket.socket(family)
        try:
            client.settimeout(DEADLINE)
            client.connect(self.address)
        except BaseException:
            client.close()
            raise
        return client

    def turns_away(self) -> bool:
        """A client is reset, be it before its connect has returned."""
        try:
            client = self.connect()
        except ConnectionResetError:
            return True
        return b"" == until_reset(client)

    def stats(self) -> PortStats:
        """The port's counters."""
        found: PortStats = self.plane.port_stats(self.number)
        return found

    def of(self, index: int = 0) -> BackendStats:
        """A backend's counters."""
        found: BackendStats = self.plane.backend_stats(self.backends[index])
        return found


@contextmanager
def listening(host: str = LOOPBACK, backlog: int = 4096) -> Iterator[socket.socket]:
    """A listening socket at a port of its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=backlog) as listener:
        yield listener


@contextmanager
def refusing() -> Iterator[socket.socket]:
    """
    A backend that refuses until it listens.

    It keeps its port meanwhile: that of a closed listener may be given to others.
    """
    with socket.socket() as backend:
        backend.bind((LOOPBACK, 0))
        yield backend


@contextmanager
def full() -> Iterator[Origin]:
    """A backend whose backlog is full, so that connecting to it hangs."""
    with ExitStack() as stack:
        listener = stack.enter_context(listening(backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield Origin(listener)


def exactly(sock: socket.socket, count: int) -> bytes:
    """The next *count* bytes; fewer only at the end of the stream."""
    received = bytearray()
    while len(received) < count:
        piece = sock.recv(min(count - len(received), 1 << 20))
        if not piece:
            break
        received += piece
    return bytes(received)


def rest(sock: socket.socket) -> bytes:
    """All there is up to the end of the stream."""
    return exactly(sock, 1 << 62)


def until_reset(sock: socket.socket) -> bytes:
    """All there is up to a reset, after which *sock* is closed; an end is a failure."""
    received = bytearray()
    with sock:
        while True:
            try:
                piece = sock.recv(1 << 20)
            except ConnectionResetError:
                return bytes(received)
            assert piece, "the stream ended as if it were complete"
            received += piece


def reset(sock: socket.socket) -> None:
    """Close so that the peer sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def answers(origin: Origin, client: socket.socket) -> None:
    """*client*, which has sent `?`, is served by *origin*."""
    with origin.accept() as server:
        assert b"?" == exactly(server, 1)
        server.sendall(b"!")
        assert b"!" == exactly(client, 1)


Start = Callable[..., Plane]
"""Starts a relay; keywords as `Relay`."""

Origins = Callable[[], Origin]
"""Makes one more backend."""
