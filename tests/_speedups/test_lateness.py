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

Pairs = list[tuple[socket.socket, socket.socket]]

PATIENCE = 3.0
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


def test_answer_of_a_backend_counts_from_when_it_came(
    crowded: Start, origin: Origin
) -> None:
    """Though all the others have their turn first."""
    plane = crowded(connect_timeout=PATIENCE)
    with ExitStack() as stack:
        others = stack.enter_context(many(plane.listen(origin), origin))
        backend, fillers = stack.enter_context(hesitant())
        gate = plane.listen(backend)
        client = stack.enter_context(gate.connect())
        soon(lambda: gate.of().active == 1)
        with everybody_waits(plane, PATIENCE + 1):
            for other, _ in others:
                other.sendall(b"?")
            server = stack.enter_context(backend.accept())
            while server.getpeername() in fillers:
                server = stack.enter_context(backend.accept())
        client.sendall(b"?")
        assert b"?" == exactly(server, 1)
        server.sendall(b"!")
        assert b"!" == exactly(client, 1)
        assert 0 == gate.stats().errors.timed_out


def test_word_of_a_client_counts_from_when_it_came(
    crowded: Start, origin: Origin
) -> None:
    plane = crowded(idle_timeout=PATIENCE)
    gate = plane.listen(origin)
    with many(gate, origin) as pairs:
        with everybody_waits(plane, PATIENCE + 1):
            for client, _ in pairs:
                client.sendall(b"?")
        for _, server in pairs:
            assert b"?" == exactly(server, 1)
        assert 0 == gate.stats().errors.idle_timeout
