"""Resets pass through both twins as what they are, and never as an end."""

from __future__ import annotations

import fcntl
import select
import socket
import sys
import termios
import threading
from contextlib import suppress

import pytest

from tests.standins.plane import (
    DEADLINE,
    Origin,
    Plane,
    Start,
    exactly,
    reset,
    rest,
    soon,
    until_reset,
)

MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 5, 3 * MIB])
def test_backend_reset_stays_a_reset(plane: Plane, origin: Origin, size: int) -> None:
    """A truncated reply must not look complete."""
    gate = plane.listen(origin)
    with gate.connect() as client:
        server = origin.accept()
        # Else, with no reply at all, another backend would be tried.
        client.sendall(b"?")
        assert b"?" == exactly(server, 1)
        sending = threading.Thread(target=server.sendall, args=(b"x" * size,))
        sending.start()
        received = exactly(client, size)
        sending.join()
        reset(server)
        assert size == len(received)
        assert b"" == until_reset(client)
    assert 1 == gate.stats().errors.reset_by_backend


@pytest.mark.parametrize("size", [0, 5, 3 * MIB])
def test_client_reset_stays_a_reset(plane: Plane, origin: Origin, size: int) -> None:
    """The application must not take an aborted upload for a whole one."""
    gate = plane.listen(origin)
    client = gate.connect()
    with origin.accept() as server:
        sending = threading.Thread(target=client.sendall, args=(b"x" * size,))
        sending.start()
        assert size == len(exactly(server, size))
        sending.join()
        reset(client)
        assert b"" == until_reset(server)
    assert 1 == gate.stats().errors.reset_by_client


def test_reply_before_a_reset_arrives(plane: Plane, origin: Origin) -> None:
    """What was sent at once before the reset is passed on first."""
    gate = plane.listen(origin)
    for _ in range(50):
        with gate.connect() as client:
            server = origin.accept()
            server.sendall(b"x" * 4000)
            reset(server)
            assert b"x" * 4000 == until_reset(client)


def test_refusal_arrives_while_the_client_uploads(plane: Plane, origin: Origin) -> None:
    """
    A 413, and a close that drops the upload: a reset, which the relay meets while
    it writes. The answer arrives, and its end is a reset.
    """
    gate = plane.listen(origin)
    for _ in range(20):
        with gate.connect() as client:
            server = origin.accept()
            sending = threading.Thread(target=_upload, args=(client,))
            sending.start()
            exactly(server, 100_000)
            server.sendall(b"413")
            server.close()
            sending.join()
            assert b"413" == rest(client)
    assert 20 == gate.stats().errors.reset_by_backend


def _upload(client: socket.socket) -> None:
    # The reset is told once, to whoever asks first: here, and no longer to recv.
    with pytest.raises(ConnectionError):
        while True:
            client.sendall(b"x" * 10_000)


def test_reset_after_a_half_close_is_passed_on(plane: Plane, origin: Origin) -> None:
    """The client has finished its request, and then loses interest."""
    gate = plane.listen(origin)
    client = gate.connect()
    with origin.accept() as server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert b"question" == rest(server)
        server.sendall(b"first")
        exactly(client, 5)
        reset(client)
        with pytest.raises(ConnectionError):
            while True:
                server.sendall(b"x" * 10_000)
    assert 1 == gate.stats().errors.reset_by_client


@pytest.mark.parametrize("who", ["client", "backend"])
def test_reset_amid_a_stream_never_looks_like_an_end(
    plane: Plane, origin: Origin, who: str
) -> None:
    """
    Whichever call of the relay it comes into.

    A splice that is sending when the reset comes may keep silent about it, after
    which the socket reads as one that has ended: once in a hundred times, before.
    """
    gate = plane.listen(origin)
    for turn in range(300):
        reader, writer = gate.connect(), origin.accept()
        if who == "backend":
            reader, writer = writer, reader
        with reader, writer:
            _stream(writer, reader, 100_000 + turn * 7919 % 900_000)
            reset(reader)
            _await_news(writer)
            assert b"" == until_reset(writer)
    assert 300 == getattr(gate.stats().errors, f"reset_by_{who}")


def _stream(writer: socket.socket, reader: socket.socket, size: int) -> None:
    """As much as the relay takes, until *size* bytes of it have arrived."""
    piece = bytes(MIB)
    writer.setblocking(False)
    while size > 0:
        with suppress(BlockingIOError):
            writer.send(piece)
        size -= len(reader.recv(1 << 18))


def _await_news(sock: socket.socket) -> None:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    assert poller.poll(DEADLINE * 1000)


def test_end_before_a_reset_is_an_end(plane: Plane, origin: Origin) -> None:
    """
    A reply that is complete, and a reset for the upload that nobody wants.

    It comes while the relay's splice of the upload is stuck, when a reset alone
    would have to be passed on.
    """
    gate = plane.listen(origin)
    for _ in range(50):
        with gate.connect() as client, origin.accept() as server:
            _stream(client, server, 200_000)
            server.sendall(b"413")
            server.shutdown(socket.SHUT_WR)
            reset(server)
            client.setblocking(True)
            assert b"413" == rest(client)


def test_end_before_a_reset_is_an_end_to_a_half_closed_client(
    plane: Plane, origin: Origin
) -> None:
    """To the relay, all three are news at once."""
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        client.sendall(b"?")
        exactly(server, 1)
        with plane.busy():
            client.shutdown(socket.SHUT_WR)
            server.sendall(b"413")
            server.shutdown(socket.SHUT_WR)
            reset(server)
        assert b"413" == rest(client)


@pytest.mark.parametrize("uploads", [False, True])
@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.parametrize("ends", [True, False])
def test_slow_client_gets_all_there_was(
    plane: Plane, origin: Origin, ends: bool, stuck: bool, uploads: bool
) -> None:
    """
    The backend breaks while the kernel, or the relay, holds what is not sent yet.

    And what the client still uploads is no reason to drop it.
    """
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        if uploads:
            _fill(client)
        size = _reply(plane, server, stuck)
        if ends:
            server.shutdown(socket.SHUT_WR)
        soon(lambda: not _underway(server))
        reset(server)
        soon(lambda: 1 == gate.stats().errors.reset_by_backend)
        if uploads:
            _fill(client)
        client.setblocking(True)
        assert size == len(rest(client) if ends else until_reset(client))
        soon(lambda: not gate.stats().active)
    assert 1 == sum(gate.stats().errors)


def _fill(sock: socket.socket) -> None:
    sock.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            sock.send(bytes(MIB))


def _reply(plane: Plane, server: socket.socket, stuck: bool) -> int:
    """Send more than a client that does not read takes, or than the relay can pass."""
    size = 0
    held = False
    while not held:
        server.sendall(bytes(200_000))
        size += 200_000
        [worker] = plane.worker()
        held = not stuck or worker.pipes_held + worker.buffers_held > 0
    return size


def _underway(sock: socket.socket) -> int:
    """Bytes that the other end has not acknowledged."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def test_client_that_takes_nothing_is_let_go(started: Start, origin: Origin) -> None:
    """Though its upload never ends: the backend that broke takes it no more."""
    plane = started(idle_timeout=0.3)
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        _reply(plane, server, stuck=True)
        reset(server)
        client.settimeout(DEADLINE)
        with pytest.raises(ConnectionError):
            while True:
                client.send(b"x")
    assert 1 == gate.stats().errors.reset_by_backend
    assert 0 == gate.stats().errors.idle_timeout


def test_cut_ends_the_handing_over(plane: Plane, origin: Origin) -> None:
    """Which is the end of that connection's one error, too."""
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        _reply(plane, server, stuck=True)
        reset(server)
        soon(lambda: 1 == gate.stats().errors.reset_by_backend)
        assert 1 == plane.cut(gate.backends[0])
        until_reset(client)
    assert 1 == sum(gate.stats().errors)
