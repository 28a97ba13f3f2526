"""What each connection came to, for who asked to read of every one."""

from __future__ import annotations

import socket
from collections.abc import Callable

from dewy._speedups.interface import Ended
from tests.standins.plane import (
    Gate,
    Origin,
    Start,
    exactly,
    listening,
    reset,
    rest,
    soon,
)


def ended(gate: Gate, count: int = 1) -> list[Ended]:
    """That many entries, once they are there."""
    found: list[Ended] = []

    def read() -> bool:
        entries, missed = gate.plane.ended()
        found.extend(entries)
        assert 0 == missed
        return len(found) >= count

    soon(read)
    return found


def served(gate: Gate, origin: Origin) -> str:
    """One whole conversation; the client's own address."""
    with gate.connect() as client:
        host, port = client.getsockname()[:2]
        client.sendall(b"12345")
        with origin.accept() as server:
            assert b"12345" == exactly(server, 5)
            server.sendall(b"ok")
        assert b"ok" == rest(client)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def test_entry_has_client_backend_bytes_and_duration(
    started: Start, origin: Origin
) -> None:
    gate = started(journal=10).listen(origin)
    client = served(gate, origin)

    (entry,) = ended(gate)

    expected = (gate.number, gate.backends[0], client, False, 5, 2)
    assert expected == entry[:-1]
    assert 0 <= entry.seconds <= 60


def test_entry_of_ipv6_client_has_client_address(
    started: Start, origin: Origin
) -> None:
    plane = started(journal=10)
    with listening("::1") as listener:
        gate = Gate(plane, plane.open_port(listener), listener.getsockname(), [])
    gate.add(origin)
    client = served(gate, origin)

    assert [client] == [entry.client for entry in ended(gate)]


def test_a_reset_is_told(started: Start, origin: Origin) -> None:
    gate = started(journal=10).listen(origin)
    client = gate.connect()
    with origin.accept() as server:
        reset(client)
        assert b"" == _until_end(server)

    (entry,) = ended(gate)

    assert (gate.backends[0], True, 0, 0) == (entry.backend, *entry[3:-1])


def test_connection_without_backend_is_reported(started: Start) -> None:
    gate = started(journal=10).listen()
    assert gate.turns_away()

    (entry,) = ended(gate)

    assert (0, True) == (entry.backend, entry.broken)


def test_entries_beyond_capacity_are_counted_as_missed(
    started: Start, origin: Origin
) -> None:
    """The first ones are told; nothing grows, whoever reads or does not."""
    gate = started(journal=2).listen(origin)
    clients = [served(gate, origin) for _ in range(5)]
    soon(lambda: gate.stats().active == 0)

    entries, missed = gate.plane.ended()

    assert (clients[:2], 3) == ([entry.client for entry in entries], missed)
    assert ([], 0) == gate.plane.ended()
    assert [served(gate, origin)] == [entry.client for entry in ended(gate)]


def test_an_end_has_the_loop_look(started: Start, origin: Origin) -> None:
    """Else nobody would read before something else happens."""
    gate = started(journal=10).listen(origin)
    looks: list[int] = []
    step: Callable[[], object] = gate.plane.relay.step

    def stepped() -> object:
        looks.append(gate.plane.relay.port_stats(gate.number).active)
        return step()

    gate.plane.call(setattr, gate.plane, "_step", stepped)
    gate.plane.call(gate.plane.loop.add_reader, gate.plane.relay.fileno(), stepped)
    served(gate, origin)

    soon(lambda: gate.stats().active == 0)
    soon(lambda: looks)


def test_without_readers_there_is_none(started: Start, origin: Origin) -> None:
    gate = started().listen(origin)
    served(gate, origin)
    soon(lambda: gate.stats().active == 0)

    assert ([], 0) == gate.plane.ended()


def _until_end(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1)
    except ConnectionResetError:
        return b""
