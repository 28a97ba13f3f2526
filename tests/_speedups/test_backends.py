"""Which backend a client gets, when some of them do not answer."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dewy._speedups.interface import NO_BACKEND, SUSPECT
from tests.standins.plane import (
    LOOPBACK,
    Gate,
    Origin,
    Origins,
    Plane,
    Start,
    answers,
    exactly,
    full,
    listening,
    reset,
    rest,
    soon,
    until_reset,
)


@pytest.fixture
def refusing() -> Origin:
    """A backend that nobody listens at."""
    with listening() as listener:
        address = listener.getsockname()

    class Refusing(Origin):
        @property
        def address(self) -> tuple[str, int]:
            return tuple(address)

    return Refusing(listener)


def asked(gate: Gate, origin: Origin) -> None:
    """A client of *gate* is served by *origin*."""
    with gate.connect() as client:
        client.sendall(b"?")
        with origin.accept() as server:
            assert b"?" == exactly(server, 1)
            server.sendall(b"!")
            assert b"!" == exactly(client, 1)


def test_backends_take_turns(plane: Plane, origins: Origins) -> None:
    """The first connection gets the first backend."""
    first, second, third = origins(), origins(), origins()
    gate = plane.listen(first, second, third)
    for origin in (first, second, third, first):
        asked(gate, origin)
    assert [2, 1, 1] == [gate.of(each).total for each in range(3)]


def test_refusing_backend_is_not_noticed(
    plane: Plane, origin: Origin, refusing: Origin
) -> None:
    """The next one is tried; the failure is counted and told."""
    gate = plane.listen(refusing, origin)
    asked(gate, origin)

    stats = gate.stats()
    assert (1, 1) == (stats.errors.refused, stats.retries)
    assert (1, 1) == (gate.of(0).total, gate.of(0).failures)
    assert plane.told(SUSPECT, gate.backends[0])
    assert (SUSPECT, gate.backends[0], errno.ECONNREFUSED) in plane.events


def test_hanging_backend_is_left_after_a_moment(started: Start, origin: Origin) -> None:
    """A host that is down answers nothing at all."""
    plane = started(connect_timeout=0.1)
    with full() as hanging:
        gate = plane.listen(hanging, origin)
        asked(gate, origin)
        assert 1 == gate.stats().errors.timed_out
        assert 1 == gate.of(0).failures
        assert plane.told(SUSPECT, gate.backends[0])


def test_half_closed_client_is_served_after_a_retry(
    plane: Plane, origin: Origin, refusing: Origin
) -> None:
    """Nothing of what it sent has been lost on the first attempt."""
    gate = plane.listen(refusing, origin)
    with gate.connect() as client:
        client.sendall(b"all")
        client.shutdown(socket.SHUT_WR)
        with origin.accept() as server:
            assert b"all" == rest(server)


def test_each_backend_is_tried_once(plane: Plane, refusing: Origin) -> None:
    """Then the client is turned away by a reset."""
    gate = plane.listen(refusing, refusing, refusing)
    assert gate.turns_away()
    stats = gate.stats()
    assert (3, 2, 1) == (stats.errors.refused, stats.retries, stats.errors.unanswered)
    soon(lambda: 0 == gate.stats().active)


def test_attempts_end_with_the_budget(started: Start) -> None:
    """However many backends there are."""
    plane = started(connect_timeout=0.1, connect_budget=0.15)
    with full() as hanging:
        gate = plane.listen(*[hanging] * 20)
        assert gate.turns_away()
    stats = gate.stats()
    assert 1 <= stats.errors.timed_out <= 3
    assert 1 == stats.errors.unanswered


def test_port_without_a_backend_resets(plane: Plane) -> None:
    """The client learns at once; the control plane is told once per step."""
    gate = plane.listen()
    assert gate.turns_away()
    assert plane.told(NO_BACKEND, gate.number)
    assert 1 == gate.stats().errors.no_backend
    soon(lambda: 0 == gate.stats().active)


def test_backend_that_closes_without_a_byte_is_suspected(
    plane: Plane, origin: Origin
) -> None:
    """Something accepts for an application that is not there. It stays in the table."""
    gate = plane.listen(origin)
    with gate.connect() as client:
        origin.accept().close()
        assert b"" == rest(client)
    assert plane.told(SUSPECT, gate.backends[0])
    assert (SUSPECT, gate.backends[0], 0) in plane.events
    assert (1, 0) == (gate.of().suspicions, gate.of().failures)
    asked(gate, origin)


def test_backend_that_closes_after_the_client_is_not_suspected(
    plane: Plane, origin: Origin
) -> None:
    """A health check of somebody else connects, and leaves."""
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(server)
        server.close()
        assert b"" == rest(client)
    asked(gate, origin)
    assert 0 == gate.of().suspicions
    assert [] == plane.events


def test_backend_that_dies_mid_stream_is_a_reset(plane: Plane, origin: Origin) -> None:
    """And no reason to send the request again."""
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        server.sendall(b"half")
        assert b"half" == exactly(client, 4)
        reset(server)
        assert b"" == until_reset(client)
    assert (0, 0) == (gate.of().suspicions, gate.stats().retries)
    assert 1 == gate.of().broken


def test_retried_connection_counts_as_broken_for_first_backend(
    plane: Plane, origins: Origins
) -> None:
    """Closed or reset without a byte; the client notices nothing."""
    for leave in (socket.socket.close, reset):
        first, second = origins(), origins()
        gate = plane.listen(first, second)
        with gate.connect() as client:
            leave(first.accept())
            # What is sent before the break is seen could not be sent again.
            soon(lambda gate=gate: 1 == gate.of(1).total)
            client.sendall(b"?")
            answers(second, client)
        assert [1, 0] == [gate.of(each).broken for each in range(2)]
        assert [1, 1] == [gate.of(each).total for each in range(2)]


def test_connection_without_another_backend_counts_once(
    plane: Plane, origin: Origin
) -> None:
    """Whether it was closed, or reset."""
    gate = plane.listen(origin)
    for count, leave in enumerate((socket.socket.close, reset), 1):
        with gate.connect() as client:
            client.sendall(b"?")
            leave(origin.accept())
            with suppress(ConnectionResetError):
                rest(client)
        soon(lambda: 0 == gate.stats().active)
        assert count == gate.of().broken


def test_client_that_leaves_first_is_not_fault_of_backend(
    plane: Plane, origin: Origin
) -> None:
    """By a reset, or by an end that the backend answers by a reset."""
    gate = plane.listen(origin)
    client = gate.connect()
    with origin.accept() as server:
        reset(client)
        until_reset(server)
    with gate.connect() as client:
        server = origin.accept()
        server.sendall(b"half")
        assert b"half" == exactly(client, 4)
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(server)
        reset(server)
        until_reset(client)
    soon(lambda: 0 == gate.stats().active)
    assert 0 == gate.of().broken


def test_reset_after_complete_answer_breaks_nothing(
    plane: Plane, origin: Origin
) -> None:
    """The stream had come to its end before."""
    gate = plane.listen(origin)
    with gate.connect() as client:
        server = origin.accept()
        server.sendall(b"all")
        server.shutdown(socket.SHUT_WR)
        assert b"all" == rest(client)
        reset(server)
        soon(lambda: 0 == gate.stats().active)
    assert 0 == gate.of().broken


def test_connections_cut_by_dewy_are_not_broken(plane: Plane, origin: Origin) -> None:
    """Nor is one whose backend ended it after an answer."""
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept():
        plane.cut(gate.backends[0])
        until_reset(client)
    with gate.connect() as client, origin.accept() as server:
        server.sendall(b"!")
        server.close()
        assert b"!" == rest(client)
    soon(lambda: 0 == gate.stats().active)
    assert 0 == gate.of().broken


def test_ejected_backend_is_left_out_until_restored(
    plane: Plane, origins: Origins
) -> None:
    """A probe failed; it may succeed again."""
    first, second = origins(), origins()
    gate = plane.listen(first, second)
    plane.eject(gate.backends[0])
    for _ in range(3):
        asked(gate, second)
    plane.restore(gate.backends[0])
    assert 0 == gate.of(0).total
    plane.eject(gate.backends[1])
    asked(gate, first)


def test_sole_backend_is_never_ejected(plane: Plane, origin: Origin) -> None:
    """There is nothing better."""
    gate = plane.listen(origin)
    plane.eject(gate.backends[0])
    asked(gate, origin)
    assert 0 == gate.stats().panics


def test_all_ejected_are_all_used(plane: Plane, origins: Origins) -> None:
    """Rather a doubtful backend than none."""
    first, second = origins(), origins()
    gate = plane.listen(first, second)
    for backend in gate.backends:
        plane.eject(backend)
    asked(gate, first)
    asked(gate, second)
    assert 1 == gate.stats().panics


def test_less_busy_backend_is_preferred(started: Start, origins: Origins) -> None:
    """The better of two random choices: no backend runs away from the others."""
    plane = started(balance="least-connections")
    both = origins(), origins()
    gate = plane.listen(*both)
    with ExitStack() as stack:
        for number in range(100):
            stack.enter_context(gate.connect())
            soon(lambda number=number: number < gate.stats().active)
        shares = [gate.of(each).active for each in range(2)]
    assert max(shares) - min(shares) <= 20


def shared_out(gate: Gate) -> list[int]:
    """Connections of the last two of three backends, once those of the first left."""
    soon(lambda: 60 == gate.of(1).active + gate.of(2).active)
    return [gate.of(each).active for each in (1, 2)]


@pytest.fixture
def crowded(
    started: Start, origins: Origins, request: pytest.FixtureRequest
) -> Iterator[tuple[Gate, list[socket.socket]]]:
    """Three backends with twenty connections each, and the sockets of the first."""
    every = [origins() for _ in range(3)]
    gate = started(balance=request.param).listen(*every)
    with ExitStack() as stack:
        for number in range(60):
            stack.enter_context(gate.connect())
            soon(lambda number=number: number < gate.stats().active)
        first = [
            stack.enter_context(every[0].accept()) for _ in range(gate.of(0).active)
        ]
        every[0].listener.close()
        yield gate, first


BALANCES = pytest.mark.parametrize(
    "crowded", ["round-robin", "least-connections"], indirect=True
)


@BALANCES
def test_connections_of_killed_backend_are_shared_out(
    crowded: tuple[Gate, list[socket.socket]],
) -> None:
    """Not all of them to the next in turn."""
    gate, first = crowded
    for server in first:
        reset(server)
    assert max(shares := shared_out(gate)) - min(shares) <= 10


@BALANCES
def test_recalled_connections_are_shared_out(
    crowded: tuple[Gate, list[socket.socket]],
) -> None:
    """As those of one that was killed."""
    gate, first = crowded
    gate.plane.drain(gate.backends[0])
    assert len(first) == gate.plane.recall(gate.backends[0])
    assert max(shares := shared_out(gate)) - min(shares) <= 10


@BALANCES
def test_retries_in_panic_are_shared_out(
    crowded: tuple[Gate, list[socket.socket]],
) -> None:
    """Where every backend failed its probe, too."""
    gate, first = crowded
    for backend in gate.backends:
        gate.plane.eject(backend)
    for server in first:
        reset(server)
    assert max(shares := shared_out(gate)) - min(shares) <= 10


def test_unknown_balance_is_refused(started: Start) -> None:
    """Not taken for the default."""
    with pytest.raises(ValueError, match="balance"):
        started(balance="random")


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("localhost", 80)),
        (socket.AF_INET, ("::1", 80)),
        (socket.AF_INET, "/socket"),
        (socket.AF_UNIX, ("127.0.0.1", 80)),
    ],
)
def test_address_of_another_kind_is_refused(
    plane: Plane, family: int, address: object
) -> None:
    """Nothing here resolves names."""
    gate = plane.listen()
    with pytest.raises(ValueError, match=r"."):
        plane.add_backend(gate.number, family, address)


def test_ipv6_on_both_sides(plane: Plane) -> None:
    """A listener and a backend of the other family."""
    with listening("::1") as at, listening("::1") as front:
        number = plane.open_port(front)
        gate = Gate(plane, number, front.getsockname(), [])
        gate.add(Origin(at))
        asked(gate, Origin(at))


def test_unix_sockets_on_both_sides(plane: Plane, tmp_path: Path) -> None:
    """Half-closes included."""
    with socket.socket(socket.AF_UNIX) as at, socket.socket(socket.AF_UNIX) as front:
        for sock, name in ((at, "at"), (front, "front")):
            sock.bind(str(tmp_path / name))
            sock.listen()
        gate = Gate(plane, plane.open_port(front), front.getsockname(), [])
        gate.add(Origin(at))
        asked(gate, Origin(at))
        with gate.connect() as client, Origin(at).accept() as server:
            client.sendall(b"x" * 300_000)
            client.shutdown(socket.SHUT_WR)
            assert 300_000 == len(rest(server))
            server.sendall(b"y" * 300_000)
            server.close()
            assert 300_000 == len(rest(client))


def test_dual_stack_listener_serves_ipv4_and_ipv6(plane: Plane, origin: Origin) -> None:
    """One dual-stack socket per port."""
    with socket.create_server(
        ("::", 0), family=socket.AF_INET6, dualstack_ipv6=True
    ) as front:
        port = front.getsockname()[1]
        number = plane.open_port(front)
    for host in (LOOPBACK, "::1"):
        gate = Gate(plane, number, (host, port), [])
        if not gate.stats().accepted:
            gate.add(origin)
        asked(gate, origin)
