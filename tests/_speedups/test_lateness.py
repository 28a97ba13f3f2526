"""What was in time is not held too late because this process looks late."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.eventually import DEADLINE
from tests.standins.plane import (
    LOOPBACK,
    Gate,
    Origin,
    Plane,
    Start,
    exactly,
    soon,
)

Pairs = tuple[Gate, list[tuple[socket.socket, socket.socket]]]

PATIENCE = 2.0
"""Seconds; the kernel calls again after one."""

MANY = 600  # more than are looked at in one turn


@contextmanager
def everybody_waits(plane: Plane, seconds: float) -> Iterator[None]:
    """
    The loop does nothing, until *seconds* after now have passed as well.

    It is an event of a socket that keeps it: of the timers that are due, uvloop
    thinks between those events and the next.
    """
    over = time.monotonic() + seconds
    begun, done = threading.Event(), threading.Event()
    ours, theirs = socket.socketpair()

    def keep() -> None:
        ours.recv(1)
        begun.set()
        done.wait(DEADLINE)

    with ours, theirs:
        plane.call(plane.loop.add_reader, ours, keep)
        theirs.send(b"!")
        assert begun.wait(DEADLINE)
        try:
            yield
            soon(lambda: time.monotonic() > over)
        finally:
            done.set()
            plane.call(plane.loop.remove_reader, ours)


@contextmanager
def hesitant() -> Iterator[tuple[Origin, set[object]]]:
    """A backend whose backlog is full, and who fills it."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOOPBACK, 0), backlog=0))
        fillers = set()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
            fillers.add(filler.getsockname())
        yield Origin(listener), fillers


@pytest.fixture
def crowded(started: Start, twin: str) -> Plane:
    """A relay on a loop that others keep busy; threads of its own wait for nobody."""
    if twin == "c-threads":
        pytest.skip("its threads wait for nobody")
    return started(connect_timeout=PATIENCE, idle_timeout=PATIENCE)


@pytest.fixture
def others(crowded: Plane, origin: Origin) -> Iterator[Pairs]:
    """Connections of a port, each with its client and its backend's side."""
    gate = crowded.listen(origin)
    with ExitStack() as stack:
        made = []
        for _ in range(MANY):
            client = stack.enter_context(gate.connect())
            made.append((client, stack.enter_context(origin.accept())))
        yield gate, made


def test_answer_of_a_backend_counts_from_when_it_came(
    crowded: Plane, others: Pairs
) -> None:
    """Though all the others have their turn first."""
    with hesitant() as (origin, fillers), ExitStack() as stack:
        gate = crowded.listen(origin)
        client = stack.enter_context(gate.connect())
        soon(lambda: gate.of().active == 1)
        with everybody_waits(crowded, PATIENCE + 1):
            for other, _ in others[1]:
                other.sendall(b"?")
            server = stack.enter_context(origin.accept())
            while server.getpeername() in fillers:
                server = stack.enter_context(origin.accept())
        client.sendall(b"?")
        assert b"?" == exactly(server, 1)
        server.sendall(b"!")
        assert b"!" == exactly(client, 1)
        assert 0 == gate.stats().errors.timed_out


def test_word_of_a_client_counts_from_when_it_came(
    crowded: Plane, others: Pairs
) -> None:
    gate, pairs = others
    with everybody_waits(crowded, PATIENCE + 1):
        for client, _ in pairs:
            client.sendall(b"?")
    for _, server in pairs:
        assert b"?" == exactly(server, 1)
    assert 0 == gate.stats().errors.idle_timeout
