"""What was in time is not held too late because this process looks late."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.eventually import DEADLINE
from tests.standins.plane import Gate, Origin, Origins, Plane, Start, answers, exactly

Pairs = list[tuple[socket.socket, socket.socket]]

PATIENCE = 3.0
"""Seconds, of all time-outs."""

MANY = 300  # more than are looked at in one turn


@pytest.fixture
def crowded(started: Start, twin: str) -> Start:
    """A relay on a loop that others keep busy; threads of its own wait for nobody."""
    if twin == "c-threads":
        pytest.skip("its threads wait for nobody")
    return started


@contextmanager
def many(gate: Gate, origin: Origin) -> Iterator[Pairs]:
    """Connections of a port, each with its client and its backend's side."""
    with ExitStack() as stack:
        made = []
        for _ in range(MANY):
            client = stack.enter_context(gate.connect())
            made.append((client, stack.enter_context(origin.accept())))
        yield made


@contextmanager
def hold_up(plane: Plane) -> Iterator[tuple[Callable[[], object], threading.Event]]:
    """
    What holds the loop up for longer than anybody's patience, and when it does.

    It is an event of a socket: between those events and the next, uvloop thinks of
    the timers that are due.
    """
    begun = threading.Event()
    ours, theirs = socket.socketpair()

    def hold() -> None:
        ours.recv(1)
        begun.set()
        time.sleep(PATIENCE + 1)

    with ours, theirs:
        plane.call(plane.loop.add_reader, ours, hold)
        yield (lambda: theirs.send(b"!")), begun
        plane.call(plane.loop.remove_reader, ours)


def test_timely_backend_answer_on_blocked_loop_is_no_timeout(
    crowded: Start, origin: Origin, origins: Origins
) -> None:
    """It comes when the loop is held up already, and after what others have to say."""
    plane = crowded(connect_timeout=PATIENCE)
    gate = plane.listen(backend := origins())
    with many(plane.listen(origin), origin) as others, hold_up(plane) as (hold, begun):
        with plane.busy():
            client = gate.connect()
            client.sendall(b"?")
            for other, _ in others:
                other.sendall(b"?")
            hold()
        assert begun.wait(DEADLINE)
    with client:
        answers(backend, client)
    assert 0 == gate.stats().errors.timed_out


def test_timely_client_data_on_blocked_loop_is_no_idle_timeout(
    crowded: Start, origin: Origin
) -> None:
    plane = crowded(idle_timeout=PATIENCE)
    gate = plane.listen(origin)
    with many(gate, origin) as pairs:
        with hold_up(plane) as (hold, begun):
            hold()
            assert begun.wait(DEADLINE)
            for client, _ in pairs:
                client.sendall(b"?")
        for _, server in pairs:
            assert b"?" == exactly(server, 1)
    assert 0 == gate.stats().errors.idle_timeout
