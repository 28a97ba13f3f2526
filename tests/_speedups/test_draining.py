"""Taking backends and ports out of service without losing a connection."""

from __future__ import annotations

import socket
import time

import pytest

from dewy._speedups.interface import DRAINED, IDLE
from tests.standins.plane import (
    LOOPBACK,
    Gate,
    Origin,
    Origins,
    Plane,
    Start,
    exactly,
    listening,
    rest,
    soon,
    until_reset,
)

AT_ONCE = 0.1  # seconds


def pair(gate: Gate, origin: Origin) -> tuple[socket.socket, socket.socket]:
    """A client and its server, connected through *gate*."""
    client = gate.connect()
    client.sendall(b"?")
    server = origin.accept()
    assert b"?" == exactly(server, 1)
    return client, server


def end(client: socket.socket, server: socket.socket) -> None:
    """In good order."""
    client.close()
    assert b"" == rest(server)
    server.close()


def test_drain_ends_with_the_last_connection(plane: Plane, origins: Origins) -> None:
    """And not before. New ones go elsewhere."""
    old, new, third = origins(), origins(), origins()
    gate, other = plane.listen(old, new), plane.listen(third)
    first, elsewhere, second = pair(gate, old), pair(gate, new), pair(gate, old)
    assert 2 == plane.drain(gate.backends[0])

    for each in (elsewhere, pair(gate, new)):
        end(*each)
    end(*first)
    drained(other, third)
    assert not plane.told(DRAINED, gate.backends[0], 0)
    assert 1 == plane.drain(gate.backends[0])
    end(*second)
    assert plane.told(DRAINED, gate.backends[0])
    told = (DRAINED, gate.backends[0])
    assert 1 == sum(told == event[:2] for event in plane.events)


def drained(gate: Gate, origin: Origin) -> float:
    """Drain its backend of one connection; seconds from its end until that is told."""
    last = pair(gate, origin)
    assert 1 == gate.plane.drain(gate.backends[0])
    end(*last)
    began = time.monotonic()
    assert gate.plane.told(DRAINED, gate.backends[0])
    return time.monotonic() - began


def test_end_of_a_drain_is_told_at_once(plane: Plane, origins: Origins) -> None:
    """Within a tenth of a second, where the machine is not busy each time."""
    tries = [origins() for _ in range(5)]
    gates = [plane.listen(each) for each in tries]
    assert min(map(drained, gates, tries)) < 3 * AT_ONCE


def test_drain_of_an_idle_backend_ends_at_once(plane: Plane, origin: Origin) -> None:
    """Even if it has never served."""
    gate = plane.listen(origin)
    waiting = gate.add(origin, serving=False)
    assert [0, 0] == [plane.drain(gate.backends[0]), plane.drain(waiting)]
    assert plane.told(DRAINED, gate.backends[0])
    assert plane.told(DRAINED, waiting)


def test_backend_swap_is_atomic_and_drains_old_backend(
    plane: Plane, origins: Origins
) -> None:
    """Those left out drain; those named are served in turn."""
    old, new, newest = origins(), origins(), origins()
    gate = plane.listen(old)
    left = pair(gate, old)
    added = [gate.add(each, serving=False) for each in (new, newest)]
    plane.serve(gate.number, added)

    with gate.connect(), gate.connect(), new.accept(), newest.accept():
        pass
    end(*left)
    assert plane.told(DRAINED, gate.backends[0])


def test_draining_backend_may_come_back(plane: Plane, origin: Origin) -> None:
    """A rollout that is taken back."""
    gate = plane.listen(origin)
    plane.drain(gate.backends[0])
    assert plane.told(DRAINED, gate.backends[0])
    plane.serve(gate.number, gate.backends)
    end(*pair(gate, origin))
    plane.drain(gate.backends[0])
    soon(lambda: 2 == sum(event[0] == DRAINED for event in plane.events))


def test_backend_of_another_port_cannot_serve(plane: Plane, origin: Origin) -> None:
    """And nothing has changed."""
    one, other = plane.listen(origin), plane.listen(origin)
    with pytest.raises(KeyError):
        plane.serve(one.number, other.backends)
    end(*pair(one, origin))


def test_cut_resets_both_ends(plane: Plane, origins: Origins) -> None:
    """The backend is gone; only its own connections are."""
    gone, there = origins(), origins()
    gate = plane.listen(gone, there)
    client, server = pair(gate, gone)
    other = pair(gate, there)
    plane.drain(gate.backends[0])
    assert 1 == plane.cut(gate.backends[0])
    assert b"" == until_reset(client)
    assert b"" == until_reset(server)
    end(*other)
    assert plane.told(DRAINED, gate.backends[0])
    assert 1 == gate.stats().errors.cut


def test_removed_backend_keeps_its_connections(plane: Plane, origin: Origin) -> None:
    """They end by themselves; it is known no longer, and named no longer."""
    gate = plane.listen(origin)
    client, server = pair(gate, origin)
    plane.remove(gate.backends[0])
    with pytest.raises(KeyError):
        plane.backend_stats(gate.backends[0])
    client.sendall(b"still")
    assert b"still" == exactly(server, 5)
    end(client, server)
    assert [] == plane.events


def test_paused_port_lets_newcomers_wait(plane: Plane, origin: Origin) -> None:
    """In the kernel's backlog; open connections go on."""
    gate = plane.listen(origin)
    client, server = pair(gate, origin)
    plane.pause(gate.number)
    with gate.connect() as waiting:
        waiting.sendall(b"?")
        plane.passes_by(origin)
        server.sendall(b"go on")
        assert b"go on" == exactly(client, 5)
        plane.resume(gate.number)
        with origin.accept() as late:
            assert b"?" == exactly(late, 1)
    end(client, server)


def test_port_may_be_opened_paused(plane: Plane, origin: Origin) -> None:
    """Who comes before it has a backend waits, and is not turned away."""
    with listening() as listener:
        number = plane.open_port(listener, paused=True)
        gate = Gate(plane, number, listener.getsockname(), [])
    with gate.connect() as waiting:
        waiting.sendall(b"?")
        gate.add(origin)
        plane.passes_by(origin)
        assert 0 == gate.stats().accepted
        plane.resume(gate.number)
        with origin.accept() as server:
            assert b"?" == exactly(server, 1)


def test_port_opened_paused_can_be_closed(plane: Plane) -> None:
    """Nobody has come through it, and nobody will."""
    with listening() as listener:
        number = plane.open_port(listener, paused=True)
        address = listener.getsockname()
    plane.close_port(number)
    assert plane.told(IDLE, number)
    with pytest.raises(ConnectionRefusedError):
        Gate(plane, number, address, []).connect()


def test_closed_port_is_idle_after_its_last_connection(
    plane: Plane, origin: Origin
) -> None:
    """It accepts no more, and says once when the last one has ended."""
    gate = plane.listen(origin)
    client, server = pair(gate, origin)
    plane.close_port(gate.number)
    with pytest.raises(ConnectionRefusedError):
        gate.connect()
    server.sendall(b"go on")
    assert b"go on" == exactly(client, 5)
    other = plane.listen(origin)
    last = pair(other, origin)
    plane.close_port(other.number)
    end(*last)
    assert plane.told(IDLE, other.number)
    assert not plane.told(IDLE, gate.number, 0)
    end(client, server)
    assert plane.told(IDLE, gate.number)
    plane.close_port(gate.number)
    assert 1 == gate.stats().accepted


def test_relay_close_resets_open_connections(started: Start, origin: Origin) -> None:
    """The end of the proxy is no orderly end of a stream."""
    plane = started()
    client, server = pair(plane.listen(origin), origin)
    plane.close()
    assert b"" == until_reset(client)
    assert b"" == until_reset(server)


def test_port_can_be_cut(plane: Plane, origin: Origin) -> None:
    """All of its connections are reset, and no other port's."""
    gate, other = plane.listen(origin), plane.listen(origin)
    client, server = pair(gate, origin)
    kept = pair(other, origin)
    assert 1 == plane.cut_port(gate.number)
    assert b"" == until_reset(client)
    assert b"" == until_reset(server)
    end(*kept)


def test_idle_connection_is_reset(started: Start, origin: Origin) -> None:
    """A byte in either direction keeps it; a half-close alone does not."""
    gate = started(idle_timeout=0.8).listen(origin)
    client, server = pair(gate, origin)
    for _ in range(4):
        with pytest.raises(TimeoutError):
            client.settimeout(0.25)
            client.recv(1)
        server.sendall(b"!")
        client.settimeout(10)
        assert b"!" == exactly(client, 1)
    client.shutdown(socket.SHUT_WR)
    assert b"" == rest(server)
    assert b"" == until_reset(client)
    server.close()
    assert 1 == gate.stats().errors.idle_timeout


def test_limit_lets_newcomers_wait(started: Start, origin: Origin) -> None:
    """Over all ports; who leaves makes room."""
    plane = started(max_connections=1)
    gate, other = plane.listen(origin), plane.listen(origin)
    first = pair(gate, origin)
    with other.connect() as waiting:
        waiting.sendall(b"?")
        # Nobody else is let in either, so no event comes later.
        with pytest.raises(TimeoutError):
            origin.accept(0.2)
        end(*first)
        with origin.accept() as server:
            assert b"?" == exactly(server, 1)


def test_shared_listener_keeps_blocking_mode(plane: Plane, origin: Origin) -> None:
    """Other processes have it, too: systemd, for one."""
    with listening(LOOPBACK) as shared:
        gate = Gate(plane, plane.open_port(shared, own=False), shared.getsockname(), [])
        gate.add(origin)
        end(*pair(gate, origin))
        assert shared.getblocking()
        end(*pair(gate, origin))
