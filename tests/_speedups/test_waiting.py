"""Clients that come while nothing serves their port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dewy._speedups.interface import DRAINED, IDLE, NO_BACKEND
from tests.standins.plane import (
    Gate,
    Origin,
    Origins,
    Start,
    answers,
    exactly,
    full,
    refusing,
    reset,
    rest,
    soon,
    until_reset,
)

LONG = 60.0  # seconds
SHORT = 0.3
# A timer of asyncio may ring this much early, and its clock is a float.
EARLY = 0.01


@pytest.fixture
def gate(started: Start) -> Gate:
    """A port that nothing serves, and that lets clients wait for long."""
    return started(backend_wait=LONG).listen()


@pytest.fixture
def waiting(gate: Gate) -> Iterator[socket.socket]:
    """A client that has said something, and waits."""
    with gate.connect() as client:
        client.sendall(b"?")
        held(gate, 1)
        yield client


def held(gate: Gate, count: int) -> None:
    """So many clients are there."""
    soon(lambda: count == gate.stats().active)


def test_newcomer_gets_the_backend_that_is_added(
    gate: Gate, waiting: socket.socket, origin: Origin
) -> None:
    """As soon as it is, and nobody is told of a want."""
    gate.add(origin)
    answers(origin, waiting)
    assert not any(gate.stats().errors)
    assert [] == gate.plane.events


def test_newcomer_gets_the_backend_that_is_swapped_in(
    gate: Gate, waiting: socket.socket, origin: Origin
) -> None:
    """One that does not serve yet is none."""
    backend = gate.add(origin, serving=False)
    gate.plane.passes_by(origin)
    gate.plane.serve(gate.number, [backend])
    answers(origin, waiting)


def test_newcomer_is_turned_away_in_the_end(started: Start) -> None:
    """Counted, and told, as if there were no waiting."""
    plane = started(backend_wait=SHORT)
    gate = plane.listen()
    with gate.connect() as client:
        held(gate, 1)
        assert 0 == gate.stats().errors.no_backend
        assert [] == plane.events
        assert b"" == until_reset(client)
    assert plane.told(NO_BACKEND, gate.number)
    assert 1 == gate.stats().errors.no_backend
    held(gate, 0)
    assert gate.stats().duration_seconds >= SHORT - EARLY


def test_each_waits_for_as_long(started: Start, origin: Origin) -> None:
    """Whoever was there first does not end the waiting of others."""
    plane = started(backend_wait=1.0)
    gate = plane.listen()
    with gate.connect() as first, ExitStack() as stack:
        held(gate, 1)
        # Most of the time it may wait is to be over.
        first.settimeout(0.7)
        with pytest.raises(TimeoutError):
            first.recv(1)
        later = stack.enter_context(gate.connect())
        later.sendall(b"?")
        first.settimeout(LONG)
        assert b"" == until_reset(first)
        gate.add(origin)
        answers(origin, later)


def test_client_that_leaves_meanwhile_is_forgotten(gate: Gate, origin: Origin) -> None:
    """A backend that comes later never hears of it."""
    client = gate.connect()
    held(gate, 1)
    reset(client)
    held(gate, 0)
    gate.add(origin)
    gate.plane.passes_by(origin)
    assert 1 == gate.stats().errors.reset_by_client


def test_client_that_has_said_all_waits(
    gate: Gate, waiting: socket.socket, origin: Origin
) -> None:
    """The end of its stream is not its end: it wants an answer."""
    waiting.shutdown(socket.SHUT_WR)
    gate.add(origin)
    with origin.accept() as server:
        assert b"?" == rest(server)
        server.sendall(b"!")
        assert b"!" == exactly(waiting, 1)


def test_closing_port_resets_waiting_clients(
    gate: Gate, waiting: socket.socket
) -> None:
    """Its end does not wait for them either."""
    gate.plane.close_port(gate.number)
    assert b"" == until_reset(waiting)
    assert gate.plane.told(IDLE, gate.number)
    assert 1 == gate.stats().errors.no_backend


def test_paused_port_keeps_them(
    gate: Gate, waiting: socket.socket, origin: Origin
) -> None:
    """They have been accepted."""
    gate.plane.pause(gate.number)
    gate.add(origin)
    answers(origin, waiting)


def test_waiting_client_can_be_cut(gate: Gate, waiting: socket.socket) -> None:
    """As any other connection of the port."""
    assert 1 == gate.plane.cut_port(gate.number)
    assert b"" == until_reset(waiting)
    assert 1 == gate.stats().errors.cut
    gate.plane.close_port(gate.number)
    assert gate.plane.told(IDLE, gate.number)


def test_closing_relay_resets_waiting_clients(
    gate: Gate, waiting: socket.socket
) -> None:
    """At once."""
    gate.plane.close()
    assert b"" == until_reset(waiting)


def test_newcomers_wait_after_the_last_backend(gate: Gate, origins: Origins) -> None:
    """It has drained, and the next one is not there yet."""
    old, new = origins(), origins()
    backend = gate.add(old)
    with gate.connect() as client:
        client.sendall(b"?")
        answers(old, client)
    gate.plane.drain(backend)
    assert gate.plane.told(DRAINED, backend)
    with gate.connect() as client:
        client.sendall(b"?")
        held(gate, 1)
        gate.add(new)
        answers(new, client)


def test_client_of_a_backend_that_is_gone_waits(
    gate: Gate, waiting: socket.socket, origin: Origin
) -> None:
    """It had not answered; its container has died, and another one is on its way."""
    with full() as hanging:
        gone = gate.add(hanging)
        soon(lambda: 1 == gate.plane.backend_stats(gone).active)
        gate.plane.drain(gone)
        gate.plane.cut(gone)
        gate.plane.remove(gone)
        gate.add(origin)
        answers(origin, waiting)


def test_search_begins_anew_after_the_waiting(started: Start, origin: Origin) -> None:
    """However long that took: a backend that hangs is passed over as usual."""
    plane = started(backend_wait=LONG, connect_timeout=0.2, connect_budget=0.5)
    gate = plane.listen()
    with gate.connect() as client, full() as hanging:
        client.sendall(b"?")
        # For longer than the budget.
        client.settimeout(0.6)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(LONG)
        backends = [gate.add(each, serving=False) for each in (hanging, origin)]
        plane.serve(gate.number, backends)
        answers(origin, client)
    assert 1 == gate.stats().errors.timed_out


def test_client_waits_while_every_backend_refuses(gate: Gate) -> None:
    """What died refuses before the table learns of it; another takes its place."""
    with refusing() as backend, gate.connect() as client:
        gate.plane.add_backend(gate.number, socket.AF_INET, backend.getsockname())
        client.sendall(b"?")
        soon(lambda: gate.stats().errors.refused >= 3)
        backend.listen()
        server, _ = backend.accept()
        with server:
            assert b"?" == exactly(server, 1)
            server.sendall(b"!")
            assert b"!" == exactly(client, 1)


def test_client_is_turned_away_when_all_refuse_for_long(started: Start) -> None:
    """And counted as one that nobody answered."""
    gate = started(backend_wait=SHORT).listen()
    with refusing() as backend:
        gate.plane.add_backend(gate.number, socket.AF_INET, backend.getsockname())
        with gate.connect() as client:
            assert b"" == until_reset(client)
    held(gate, 0)
    assert 1 == gate.stats().errors.unanswered
    assert gate.stats().duration_seconds >= SHORT - EARLY


@pytest.mark.parametrize("rounds", range(3))
def test_many_wait_at_once(
    started: Start, twin: str, origin: Origin, rounds: int
) -> None:
    """Whichever thread holds them."""
    more = {"threads": 2} if twin == "c-threads" else {}
    gate = started(backend_wait=LONG, **more).listen()
    with ExitStack() as stack:
        clients = [stack.enter_context(gate.connect()) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(b"?")
            if number == 100:
                gate.add(origin)  # while others arrive
        for _ in clients:
            server = stack.enter_context(origin.accept())
            assert b"?" == exactly(server, 1)
            server.sendall(b"!")
        assert all(b"!" == exactly(client, 1) for client in clients)
    held(gate, 0)
    assert not any(gate.stats().errors)


def test_connection_limit_counts_waiting_clients(
    started: Start, origin: Origin
) -> None:
    """More of them wait in the kernel's backlog."""
    gate = started(backend_wait=LONG, max_connections=1).listen()
    with gate.connect() as first, gate.connect() as second:
        for client in (first, second):
            client.sendall(b"?")
        held(gate, 1)
        gate.add(origin)
        answers(origin, first)
        first.close()
        answers(origin, second)


def test_negative_backend_wait_is_rejected(started: Start) -> None:
    """Not taken for the default."""
    with pytest.raises(ValueError, match="backend_wait"):
        started(backend_wait=-1.0)
