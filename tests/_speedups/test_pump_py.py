"""One direction of the pure twin, between sockets of this test."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from dewy._speedups.pump_py import AGAIN, BUDGET, SCRATCH, WAITING, Direction, Side
from tests.standins.plane import reset

Wires = tuple[socket.socket, Direction, socket.socket]


@pytest.fixture
def counted() -> list[int]:
    """What the sink took, piece by piece."""
    return []


@pytest.fixture
def wires(counted: list[int]) -> Iterator[Wires]:
    """A sender, the direction, and who receives."""
    sender, source = socket.socketpair()
    sink, receiver = socket.socketpair()
    sides = Side(source), Side(sink)
    for side in sides:
        side.sock.setblocking(False)
        side.note(select.EPOLLIN | select.EPOLLOUT)
    yield sender, Direction(*sides, counted.append), receiver
    for sock in (sender, source, sink, receiver):
        sock.close()


def test_what_is_there_is_moved_and_counted(wires: Wires, counted: list[int]) -> None:
    """Then it waits for more."""
    sender, flow, receiver = wires
    sender.sendall(b"bytes")

    assert WAITING == flow.pump(bytearray(SCRATCH))
    assert b"bytes" == receiver.recv(10)
    assert [5] == counted
    assert not flow.source.readable


def test_short_read_means_drained_unless_the_end_was_announced(wires: Wires) -> None:
    """There would be no second edge for the end."""
    sender, flow, receiver = wires
    sender.sendall(b"last")
    sender.close()
    flow.source.note(select.EPOLLIN | select.EPOLLRDHUP)

    assert WAITING == flow.pump(bytearray(SCRATCH))
    assert b"last" == receiver.recv(10)
    assert flow.done


def test_full_sink_keeps_the_rest(wires: Wires) -> None:
    """No more than one scratch buffer of it, and the source is read no further."""
    sender, flow, receiver = wires
    sender.setblocking(False)
    sent = 0
    while flow.sink.writable:
        sent += sender.send(bytes(SCRATCH))
        flow.source.readable = True
        flow.pump(bytearray(SCRATCH))

    assert 0 < flow.held <= SCRATCH
    assert not flow.done
    received = 0
    while received < sent:
        received += len(receiver.recv(1 << 20))
        flow.sink.writable = flow.source.readable = True
        flow.pump(bytearray(SCRATCH))
    assert 0 == flow.held


def test_budget_leaves_others_their_turn(wires: Wires, counted: list[int]) -> None:
    """A source that is always ready is asked again later."""
    sender, flow, _receiver = wires
    for sock in (sender, flow.sink.sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * BUDGET)
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1000))
    except BlockingIOError:
        pass

    assert AGAIN == flow.pump(bytearray(1000))
    assert 16 == len(counted)


def test_failed_sink_is_remembered() -> None:
    """The error is told once; after that the stream would seem to end in order."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
    with sock:
        side = Side(sock)
        sock.setblocking(False)
        peer.sendall(b"said before")
        reset(peer)

        assert 0 == side.send(memoryview(b"too late"))
        assert side.failed
        scratch = bytearray(100)
        assert 11 == side.recv_into(scratch)
        assert 0 == side.recv_into(scratch)
        assert side.failed
