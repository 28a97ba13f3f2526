"""Clients on their way to a backend that is gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from dewy._speedups.interface import DRAINED
from tests.standins.plane import Origin, Plane, exactly, full, reset, soon

Start = Callable[..., Plane]
Origins = Callable[[], Origin]

LONG = 60.0  # seconds


def test_clients_on_their_way_are_recalled(started: Start, origins: Origins) -> None:
    """Those that have arrived stay, and nobody is counted as cut."""
    plane = started(connect_timeout=LONG, connect_budget=LONG)
    there = origins()
    with full() as hanging, ExitStack() as stack:
        gate = plane.listen()
        gone = gate.add(there)
        arrived = stack.enter_context(gate.connect())
        server = stack.enter_context(there.accept())
        dying = gate.add(hanging, serving=False)
        plane.serve(gate.number, [dying])
        clients = [stack.enter_context(gate.connect()) for _ in range(3)]
        soon(lambda: 3 == plane.backend_stats(dying).active)
        other = gate.add(origins(), serving=False)
        plane.serve(gate.number, [other])

        assert 3 == plane.recall(dying)
        assert 0 == plane.recall(gone)

        soon(lambda: 3 == plane.backend_stats(other).active)
        assert plane.told(DRAINED, dying)
        for client in clients:
            reset(client)
        server.sendall(b"!")
        assert b"!" == exactly(arrived, 1)
        assert 0 == gate.stats().errors.cut
