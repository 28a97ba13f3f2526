"""One direction of the pure twin, between sockets of this test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from dewy._speedups.endpoint_py import BUDGET, SCRATCH, PeerSocket, Pump, ResetPoller
from tests.standins.plane import reset

Wires = tuple[socket.socket, Pump, socket.socket]


@pytest.fixture
async def lookout() -> AsyncIterator[ResetPoller]:
    """Belongs to the test's loop."""
    lookout = ResetPoller(asyncio.get_running_loop())
    yield lookout
    lookout.close()


@pytest.fixture
def counted() -> list[int]:
    """What the sink took, piece by piece."""
    return []


@pytest.fixture
async def wires(lookout: ResetPoller, counted: list[int]) -> AsyncIterator[Wires]:
    """A sender, the direction, and who receives."""
    sender, source = socket.socketpair()
    sink, receiver = socket.socketpair()
    for sock in (source, sink):
        sock.setblocking(False)
    sides = [PeerSocket(sock, lookout, lambda: None) for sock in (source, sink)]
    yield sender, Pump(*sides, counted.append), receiver
    for side in sides:
        side.close(resetting=False)
    for sock in (sender, receiver):
        sock.close()


async def test_available_bytes_are_moved_and_counted(
    wires: Wires, counted: list[int]
) -> None:
    """Then it waits for more."""
    sender, flow, receiver = wires
    sender.sendall(b"bytes")

    assert flow.move(bytearray(SCRATCH))
    assert b"bytes" == receiver.recv(10)
    assert [5] == counted
    assert flow.wants


async def test_bytes_and_the_end_after_them_are_moved_at_once(wires: Wires) -> None:
    """They may have come together."""
    sender, flow, receiver = wires
    sender.sendall(b"last")
    sender.close()

    assert flow.move(bytearray(SCRATCH))
    assert b"last" == receiver.recv(10)
    assert flow.done
    assert not flow.wants


async def test_full_sink_keeps_the_rest(wires: Wires) -> None:
    """No more than one scratch buffer of it, and the source is read no further."""
    sender, flow, receiver = wires
    sender.setblocking(False)
    sent = 0
    while flow.wants:
        sent += sender.send(bytes(SCRATCH))
        flow.move(bytearray(SCRATCH))

    assert 0 < flow.held <= SCRATCH
    assert not flow.done
    received = 0
    while received < sent:
        received += len(receiver.recv(1 << 20))
        flow.move(bytearray(SCRATCH))
    assert 0 == flow.held
    assert flow.wants


async def test_budget_leaves_others_their_turn(
    wires: Wires, counted: list[int]
) -> None:
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

    assert not flow.move(bytearray(1000))
    assert 16 == len(counted)


async def test_buffered_bytes_of_failed_source_are_forwarded(wires: Wires) -> None:
    """All that the sink takes, however much is fair."""
    sender, flow, receiver = wires
    sender.sendall(bytes(5000))
    sender.close()
    flow.source.failed = True

    flow.rescue(bytearray(100))
    assert flow.ended
    assert 5000 == len(receiver.recv(1 << 20))


async def test_failed_sink_is_remembered(lookout: ResetPoller) -> None:
    """The error is told once; after that the stream would seem to end in order."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
    sock.setblocking(False)
    side = PeerSocket(sock, lookout, lambda: None)
    peer.sendall(b"said before")
    reset(peer)

    assert 0 == side.send(memoryview(b"too late"))
    assert side.failed
    assert side.lost
    scratch = bytearray(100)
    assert 11 == side.recv_into(scratch)
    assert 0 == side.recv_into(scratch)
    assert side.lost
    side.close(resetting=True)
