"""Without a local port left towards its backend, a client waits for one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dewy._speedups.interface import NO_ADDRESS, UNANSWERED
from tests.needs import needs
from tests.standins.namespace import in_namespace
from tests.standins.plane import (
    DEADLINE,
    Gate,
    Origin,
    Plane,
    Start,
    answers,
    exactly,
    reset,
)

pytestmark = needs("namespaces")

T = TypeVar("T")

ONLY = 40_000
SERVICE = 5_000


def scarce(function: Callable[[], T]) -> T:
    """What *function* returns where each address can be reached from one port only."""
    return in_namespace(function, port=ONLY)


def backend(host: str) -> Origin:
    return Origin(socket.create_server((host, SERVICE)))


def before(plane: Plane, path: Path, *origins: Origin) -> Gate:
    """A port whose clients need no local port of theirs."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path / "in"))
        listener.listen()
        number = plane.open_port(listener)
        gate = Gate(plane, number, listener.getsockname(), [])
    gate.backends = [gate.add(origin) for origin in origins]
    return gate


def served(gate: Gate, origin: Origin) -> tuple[socket.socket, socket.socket]:
    client = gate.connect()
    client.sendall(b"?")
    server = origin.accept()
    assert b"?" == exactly(server, 1)
    return client, server


def test_client_waits_for_a_local_port(started: Start, tmp_path: Path) -> None:
    """It is counted once, and served as soon as a connection ends."""

    def live() -> None:
        plane, origin = started(connect_budget=DEADLINE), backend("127.0.0.1")
        with origin.listener:
            gate = before(plane, tmp_path, origin)
            first, server = served(gate, origin)
            with first, gate.connect() as second:
                second.sendall(b"?")
                assert plane.told(NO_ADDRESS, gate.number)
                reset(server)
                answers(origin, second)
            errors = gate.stats().errors
            assert (1, 0) == (errors.no_address, errors.unanswered)
            assert 0 == gate.of().failures

    scarce(live)


def test_client_waits_for_a_local_port_no_longer_than_for_a_backend(
    started: Start, tmp_path: Path
) -> None:
    def live() -> None:
        plane, origin = started(connect_budget=0.5), backend("127.0.0.1")
        with origin.listener:
            gate = before(plane, tmp_path, origin)
            first, server = served(gate, origin)
            with first, server, gate.connect() as second:
                assert b"" == second.recv(1)  # of a reset, Unix sockets show the end
            assert plane.told(UNANSWERED, gate.number)
            assert 1 == gate.stats().errors.unanswered
            assert 1 == gate.stats().errors.no_address

    scarce(live)


def test_attempt_without_a_local_port_is_not_counted(
    started: Start, tmp_path: Path
) -> None:
    """A backend's total holds what this host could send to it."""

    def live() -> None:
        plane, origin = started(connect_budget=0.5), backend("127.0.0.1")
        with origin.listener:
            gate = before(plane, tmp_path, origin)
            first, server = served(gate, origin)
            with first, server, gate.connect() as second:
                assert b"" == second.recv(1)
            assert plane.told(UNANSWERED, gate.number)
            assert 1 == gate.of().total

    scarce(live)


def test_client_goes_to_another_backend_for_want_of_a_local_port(
    started: Start, tmp_path: Path
) -> None:
    """Each address has ports of its own."""

    def live() -> None:
        plane = started(connect_budget=DEADLINE)
        origins = [backend("127.0.0.1"), backend("127.0.0.2")]
        with origins[0].listener, origins[1].listener:
            gate = before(plane, tmp_path, *origins)
            pairs = [served(gate, origin) for origin in origins]
            with gate.connect() as third:
                third.sendall(b"?")
                assert plane.told(NO_ADDRESS, gate.number)
                reset(pairs[1][1])
                answers(origins[1], third)
            for client, server in pairs:
                client.close()
                server.close()

    scarce(live)
