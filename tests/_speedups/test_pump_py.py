"""One direction of the pure twin, between sockets of this test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from dewy._speedups.endpoint_py import BUDGET, SCRATCH, Endpoint, ResetPoller
from tests.standins.plane import reset

Wires = tuple[socket.socket, Endpoint, Endpoint, socket.socket]


@pytest.fixture
async def resets() -> AsyncIterator[ResetPoller]:
    """Belongs to the test's loop."""
    resets = ResetPoller(asyncio.get_running_loop())
    yield resets
    resets.close()


@pytest.fixture
async def wires(resets: ResetPoller) -> AsyncIterator[Wires]:
    """A sender, both endpoints between, and who receives."""
    sender, source = socket.socketpair()
    sink, receiver = socket.socketpair()
    for sock in (source, sink):
        sock.setblocking(False)
    ends = [Endpoint(sock, resets, lambda *_: None) for sock in (source, sink)]
    yield sender, *ends, receiver
    for end in ends:
        end.close(resetting=False)
    for sock in (sender, receiver):
        sock.close()


async def test_available_bytes_are_moved_and_counted(wires: Wires) -> None:
    """Then it waits for more."""
    sender, source, sink, receiver = wires
    sender.sendall(b"bytes")

    assert source.move(sink, bytearray(SCRATCH))
    assert b"bytes" == receiver.recv(10)
    assert 5 == source.sent
    assert source.has_room


async def test_bytes_and_the_end_after_them_are_moved_at_once(wires: Wires) -> None:
    """They may have come together."""
    sender, source, sink, receiver = wires
    sender.sendall(b"last")
    sender.close()

    assert source.move(sink, bytearray(SCRATCH))
    assert b"last" == receiver.recv(10)
    assert source.done
    assert not source.has_room


async def test_full_sink_keeps_the_rest(wires: Wires) -> None:
    """No more than one scratch buffer of it, and the source is read no further."""
    sender, source, sink, receiver = wires
    sender.setblocking(False)
    sent = 0
    while source.has_room:
        sent += sender.send(bytes(SCRATCH))
        source.move(sink, bytearray(SCRATCH))

    assert 0 < len(source.pending) <= SCRATCH
    assert not source.done
    received = 0
    while received < sent:
        received += len(receiver.recv(1 << 20))
        source.move(sink, bytearray(SCRATCH))
    assert not source.pending
    assert source.has_room


async def test_budget_leaves_others_their_turn(wires: Wires) -> None:
    """A source that is always ready is asked again later."""
    sender, source, sink, _receiver = wires
    for sock in (sender, sink.sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * BUDGET)
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1000))
    except BlockingIOError:
        pass

    assert not source.move(sink, bytearray(1000))
    assert 16 * 1000 == source.sent


async def test_bytes_without_sink_are_dropped(wires: Wires) -> None:
    """The source may go on until its end."""
    sender, source, _sink, _receiver = wires
    sender.sendall(bytes(5000))
    sender.close()

    assert source.move(None, bytearray(1000))
    assert source.done
    assert 0 == source.sent


async def test_failed_sink_is_remembered(resets: ResetPoller) -> None:
    """The error is told once; after that the stream would seem to end in order."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
    sock.setblocking(False)
    end = Endpoint(sock, resets, lambda *_: None)
    peer.sendall(b"said before")
    reset(peer)

    assert 0 == end.send(memoryview(b"too late"))
    assert end.failed
    assert end.lost
    assert end.move(None, bytearray(100))
    assert end.moved
    assert end.done
    assert end.lost
    assert not end.complete
    end.close(resetting=True)
