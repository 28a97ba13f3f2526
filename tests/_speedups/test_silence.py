"""The idle time-out is for the silent: neither peer has sent or taken a byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from dewy._speedups.interface import IDLE_TIMEOUT
from tests.standins.plane import (
    Gate,
    Origin,
    Plane,
    Start,
    exactly,
    reset,
    rest,
    soon,
    until_reset,
)

ALLOWED = 1.0  # seconds of silence
BEATS = 20
BEAT = 0.2  # seconds from one piece to the next
PIECE = 65536
SOME = 8192  # so few that the relay itself has room for more
Pair = tuple[socket.socket, socket.socket]


@contextmanager
def connected(gate: Gate, origin: Origin) -> Iterator[Pair]:
    with gate.connect() as client, origin.accept() as server:
        client.sendall(b"?")
        assert b"?" == exactly(server, 1)
        yield client, server


@contextmanager
def sending(sock: socket.socket, size: int) -> Iterator[None]:
    """*size* bytes and then the end, at the pace at which they are taken."""

    def send() -> None:
        with suppress(OSError):
            sock.sendall(bytes(size))
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        thread.join()


def take(sock: socket.socket, size: int) -> int:
    """Read slowly, and never pause for long: how much there was."""
    taken = 0
    for _ in range(BEATS):
        taken += len(exactly(sock, size))
        time.sleep(BEAT)
    return taken


@pytest.mark.parametrize("reader", [0, 1], ids=["client", "backend"])
@pytest.mark.parametrize("size", [1, PIECE])
def test_slow_reader_of_stream_is_kept(
    started: Start, origin: Origin, reader: int, size: int
) -> None:
    """What the system holds lasts far longer than the time-out, at any speed."""
    gate = started(idle_timeout=ALLOWED).listen(origin)
    with connected(gate, origin) as pair, sending(pair[1 - reader], 40 << 20):
        assert BEATS * size == take(pair[reader], size)
    assert 0 == gate.stats().errors.idle_timeout


def test_slow_reader_of_single_reply_is_kept(started: Start, origin: Origin) -> None:
    """The backend has said all it will, and the connection stays open."""
    gate = started(idle_timeout=ALLOWED).listen(origin)
    with connected(gate, origin) as (client, server):
        server.sendall(bytes(BEATS * SOME))
        assert BEATS * SOME == take(client, SOME)
        client.sendall(b"!")
        assert b"!" == exactly(server, 1)


def test_writer_to_stalled_reader_is_kept(started: Start, origin: Origin) -> None:
    """As long as its bytes still come."""
    plane = started(idle_timeout=ALLOWED)
    gate = plane.listen(origin)
    with connected(gate, origin) as (client, server):
        sent = stall(plane, client)
        for _ in range(BEATS):
            client.sendall(b"+")
            time.sleep(BEAT)
        client.shutdown(socket.SHUT_WR)
        assert sent + BEATS == len(rest(server))


def stall(plane: Plane, sender: socket.socket) -> int:
    """Send until the relay holds bytes that their reader does not take."""
    sent = 0
    while not any(each.buffers_held + each.pipes_held for each in plane.worker()):
        sender.sendall(bytes(SOME))
        sent += SOME
    return sent


def test_slow_reader_of_backend_that_broke_is_kept(
    started: Start, origin: Origin
) -> None:
    """It is still owed what that had sent."""
    plane = started(idle_timeout=ALLOWED)
    gate = plane.listen(origin)
    with connected(gate, origin) as (client, server):
        stall(plane, server)
        reset(server)
        soon(lambda: 1 == gate.stats().errors.reset_by_backend)
        assert BEATS == take(client, 1)
        assert 1 == gate.stats().active
        until_reset(client)


def test_stalled_reader_is_reset(started: Start, origin: Origin) -> None:
    """And so is who waits for it; operators are told."""
    plane = started(idle_timeout=ALLOWED)
    gate = plane.listen(origin)
    with connected(gate, origin) as (client, server):
        stall(plane, server)
        assert b"" == until_reset(server)
        assert plane.told(IDLE_TIMEOUT, gate.number)
        with pytest.raises(ConnectionResetError):
            while client.recv(PIECE):
                pass
    assert 1 == gate.stats().errors.idle_timeout


def test_silent_pair_is_reset_in_time(started: Start, origin: Origin) -> None:
    """Nothing is outstanding, so there is no doubt."""
    gate = started(idle_timeout=ALLOWED).listen(origin)
    with connected(gate, origin) as (client, _):
        began = time.monotonic()
        assert b"" == until_reset(client)
        assert ALLOWED / 2 < time.monotonic() - began < 5 * ALLOWED


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Callable[[str], socket.socket]]:
    """Listens at Unix sockets."""
    with ExitStack() as stack:

        def listen(name: str) -> socket.socket:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.bind(str(tmp_path / name))
            sock.listen()
            return sock

        yield listen


def test_slow_reader_of_unix_socket_is_kept(
    started: Start, unix: Callable[[str], socket.socket]
) -> None:
    plane = started(idle_timeout=ALLOWED)
    with unix("in") as listener:
        number = plane.open_port(listener)
        gate = Gate(plane, number, listener.getsockname(), [])
    origin = Origin(unix("out"))
    gate.add(origin)
    with connected(gate, origin) as (client, server), sending(server, 40 << 20):
        for _ in range(BEATS):
            assert 16384 == len(exactly(client, 16384))
            time.sleep(BEAT)
    assert 0 == gate.stats().errors.idle_timeout


def test_stalled_reader_of_unix_socket_is_reset(
    started: Start, unix: Callable[[str], socket.socket]
) -> None:
    plane = started(idle_timeout=ALLOWED)
    with unix("in") as listener:
        number = plane.open_port(listener)
        gate = Gate(plane, number, listener.getsockname(), [])
    origin = Origin(unix("out"))
    gate.add(origin)
    with connected(gate, origin) as (_, server):
        stall(plane, server)
        assert plane.told(IDLE_TIMEOUT, gate.number)
        with suppress(ConnectionError):
            assert b"" == server.recv(1)


def test_stalled_reader_of_endless_stream_is_reset(
    started: Start, origin: Origin
) -> None:
    """However much of it waits to be read."""
    gate = started(idle_timeout=ALLOWED).listen(origin)
    with connected(gate, origin) as (_, server), sending(server, 40 << 20):
        soon(lambda: 1 == gate.stats().errors.idle_timeout)
