"""Clients whose backend is gone before anything has passed between them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from dewy._speedups.interface import DRAINED, SUSPECT
from tests.standins.plane import (
    Gate,
    Origin,
    Origins,
    Plane,
    Start,
    answers,
    exactly,
    full,
    reset,
    rest,
    soon,
    until_reset,
)

End = Callable[[socket.socket], None]

LONG = 60.0  # seconds
BUDGET = 0.5
PREFACE = 28  # bytes of PROXY protocol v2 about an IPv4 client


def close(sock: socket.socket) -> None:
    sock.close()


both_ends = pytest.mark.parametrize("end", [close, reset])


def left(gate: Gate, origin: Origin, end: End) -> socket.socket:
    """A client whose backend has left it."""
    client = gate.connect()
    end(origin.accept())
    # What reaches one that has closed is lost: nobody can know that it was not read.
    soon(lambda: 1 == gate.stats().retries)
    return client


def test_clients_on_their_way_are_recalled(started: Start, origins: Origins) -> None:
    """And nobody is counted as cut."""
    plane = started(connect_timeout=LONG, connect_budget=LONG)
    with full() as hanging, ExitStack() as stack:
        gate = plane.listen(hanging)
        [gone] = gate.backends
        for _ in range(3):
            stack.enter_context(gate.connect())
        soon(lambda: 3 == plane.backend_stats(gone).active)
        there = origins()
        plane.serve(gate.number, [gate.add(there, serving=False)])

        assert 3 == plane.recall(gone)

        for _ in range(3):
            stack.enter_context(there.accept())
        assert plane.told(DRAINED, gone)
        assert 0 == gate.stats().errors.cut


def test_those_for_whom_something_has_passed_stay(
    started: Start, origins: Origins
) -> None:
    """The others go on elsewhere, however long ago they came."""
    plane = started(connect_budget=BUDGET)
    dying, there = origins(), origins()
    gate = plane.listen(dying)
    with ExitStack() as stack:
        asked, told, idle = (stack.enter_context(gate.connect()) for _ in range(3))
        first, second, third = (stack.enter_context(dying.accept()) for _ in range(3))
        asked.sendall(b"?")
        assert b"?" == exactly(first, 1)
        second.sendall(b"!")
        assert b"!" == exactly(told, 1)
        passed = time.monotonic() + 1.1 * BUDGET
        soon(lambda: time.monotonic() > passed)
        plane.serve(gate.number, [gate.add(there, serving=False)])

        assert 1 == plane.recall(gate.backends[0])

        idle.sendall(b"?")
        answers(there, idle)
        first.sendall(b"!")
        assert b"!" == exactly(asked, 1)
        third.close()


def test_recalled_client_waits_for_new_backend(
    started: Start, origins: Origins
) -> None:
    plane = started(backend_wait=LONG)
    dying, there = origins(), origins()
    gate = plane.listen(dying)
    with gate.connect() as client, dying.accept():
        plane.drain(gate.backends[0])
        assert 1 == plane.recall(gate.backends[0])
        client.sendall(b"?")
        gate.add(there)
        answers(there, client)


@both_ends
def test_backend_that_leaves_at_once_is_not_noticed(
    plane: Plane, origins: Origins, end: End
) -> None:
    """What is killed ends the connections it has just taken."""
    dying, there = origins(), origins()
    gate = plane.listen(dying, there)
    with left(gate, dying, end) as client:
        client.sendall(b"?")
        answers(there, client)
    stats = gate.stats()
    assert (1, 0) == (stats.retries, stats.errors.reset_by_backend)
    # It may have left before the relay knew that it had come.
    assert 1 == gate.of(0).suspicions + gate.of(0).failures
    assert plane.told(SUSPECT, gate.backends[0])


def test_request_that_could_not_be_sent_is_kept(plane: Plane, origins: Origins) -> None:
    """It may be read before the reset is seen; often enough it is, in fifty tries."""
    dying, there = origins(), origins()
    gate = plane.listen(dying, there)
    for _ in range(50):
        plane.serve(gate.number, gate.backends[:1])
        with gate.connect() as client, dying.accept() as server:
            plane.serve(gate.number, gate.backends)
            reset(server)
            client.sendall(b"?")
            answers(there, client)


@both_ends
def test_half_closed_client_goes_on_too(
    plane: Plane, origins: Origins, end: End
) -> None:
    dying, there = origins(), origins()
    gate = plane.listen(dying, there)
    with left(gate, dying, end) as client:
        client.sendall(b"all")
        client.shutdown(socket.SHUT_WR)
        with there.accept() as server:
            assert b"all" == rest(server)


@pytest.mark.parametrize(("end", "seen"), [(close, rest), (reset, until_reset)])
def test_each_backend_may_leave_once(
    plane: Plane,
    origins: Origins,
    end: End,
    seen: Callable[[socket.socket], bytes],
) -> None:
    """Then the client sees what the last one did."""
    both = origins(), origins()
    gate = plane.listen(*both)
    with gate.connect() as client:
        for each in both:
            end(each.accept())
        assert b"" == seen(client)
    assert [1, 1] == [
        gate.of(each).suspicions + gate.of(each).failures for each in range(2)
    ]
    assert 1 == gate.stats().retries


def test_idle_client_is_let_go_as_its_backend_wishes(
    started: Start, origins: Origins
) -> None:
    """A server that closes what was silent for long is not dying."""
    plane = started(connect_budget=BUDGET)
    first, second = origins(), origins()
    gate = plane.listen(first, second)
    with gate.connect() as client, first.accept() as server:
        passed = time.monotonic() + 1.1 * BUDGET
        soon(lambda: time.monotonic() > passed)
        server.close()
        assert b"" == rest(client)
    assert 0 == gate.of(1).total


def test_next_backend_gets_same_proxy_header_after_retry(
    started: Start, origins: Origins
) -> None:
    plane = started(proxy_protocol=True)
    dying, there = origins(), origins()
    gate = plane.listen(dying, there)
    with gate.connect() as client:
        with dying.accept() as server:
            preface = exactly(server, PREFACE)
        soon(lambda: 1 == gate.stats().retries)
        client.sendall(b"?")
        with there.accept() as server:
            assert preface + b"?" == exactly(server, PREFACE + 1)
