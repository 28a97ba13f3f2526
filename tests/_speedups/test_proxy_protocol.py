"""The header of the PROXY protocol, and that every twin sends it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dewy._speedups.proxy_protocol import LOCAL, preface
from tests.standins.plane import (
    Gate,
    Origin,
    Plane,
    exactly,
    listening,
    reset,
    rest,
    soon,
)

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


class Client(socket.socket):
    """Connected from and to wherever the test says."""

    peer: object = ("192.0.2.7", 1000)
    own: object = ("192.0.2.9", 443)

    def getpeername(self) -> object:
        if self.peer is None:
            raise OSError
        return self.peer

    def getsockname(self) -> object:
        return self.own


def header(peer: object, own: object) -> bytes:
    with Client() as client:
        client.peer, client.own = peer, own
        return preface(client)


def test_ipv4_client_is_told() -> None:
    """Signature, version and command, family, length, addresses, ports."""
    expected = SIGNATURE + bytes.fromhex("2111000c c0000207 c0000209 03e8 01bb")
    assert expected == header(("192.0.2.7", 1000), ("192.0.2.9", 443))


def test_mapped_client_is_told_as_ipv4() -> None:
    """A dual-stack listener sees IPv4 clients at mapped addresses."""
    mapped = header(("::ffff:192.0.2.7", 1000, 0, 0), ("::ffff:192.0.2.9", 443, 0, 0))
    assert header(("192.0.2.7", 1000), ("192.0.2.9", 443)) == mapped


def test_ipv6_client_is_told() -> None:
    """A scope is no part of the address."""
    found = header(("fe80::1%eth0", 1000, 0, 2), ("fe80::2%eth0", 443, 0, 2))
    assert SIGNATURE + b"\x21\x21\0\x24" == found[:16]
    assert 16 + 36 == len(found)
    assert socket.inet_pton(socket.AF_INET6, "fe80::1") == found[16:32]


@pytest.mark.parametrize("peer", ["", None], ids=["unix", "gone"])
def test_client_without_an_address_is_unknown(peer: object) -> None:
    """The header is there all the same: the backend waits for one."""
    assert SIGNATURE + b"\x21\0\0\0" == header(peer, "")


def test_probe_is_nobodys_connection() -> None:
    """LOCAL: the backend is to use the connection's own addresses, if any."""
    assert SIGNATURE + b"\x20\0\0\0" == LOCAL


def test_backend_hears_of_its_client(
    started: Callable[..., Plane], origin: Origin
) -> None:
    """Before the client's first byte; and it is not counted as the client's."""
    gate = started(proxy_protocol=True).listen(origin)
    with gate.connect() as client, origin.accept() as server:
        client.sendall(b"hello")
        expected = header(client.getsockname(), client.getpeername())
        assert expected + b"hello" == exactly(server, len(expected) + 5)
        soon(lambda: 5 == gate.stats().bytes_up)


def test_retry_sends_proxy_header_to_second_backend(
    started: Callable[..., Plane], origin: Origin
) -> None:
    """The header is resent; the first backend did not answer."""
    with listening() as listener:
        nobody = listener.getsockname()
    plane = started(proxy_protocol=True)
    gate = plane.listen()
    plane.add_backend(gate.number, socket.AF_INET, nobody)
    gate.add(origin)
    with gate.connect(), origin.accept() as server:
        assert SIGNATURE == exactly(server, 28)[:12]


def test_header_that_meets_a_reset_spoils_no_answer(
    started: Callable[..., Plane], origin: Origin
) -> None:
    """A backend that is full up says so, ends, and resets before it has read."""
    gate = started(proxy_protocol=True).listen(origin)
    answering = threading.Thread(target=_turn_away, args=(origin, 200))
    answering.start()
    for _ in range(200):
        try:
            client = gate.connect()
        except ConnectionError:
            continue  # told of the end and the reset before that of its connect
        with client:
            assert b"busy" == rest(client)
    answering.join()


def _turn_away(origin: Origin, count: int) -> None:
    for _ in range(count):
        with origin.accept() as server, suppress(ConnectionError):
            server.sendall(b"busy")
            server.shutdown(socket.SHUT_WR)
            reset(server)


def test_client_of_a_unix_listener_is_unknown(
    started: Callable[..., Plane], origin: Origin, tmp_path: Path
) -> None:
    """It has no address that a backend would understand."""
    plane = started(proxy_protocol=True)
    with socket.socket(socket.AF_UNIX) as front:
        front.bind(str(tmp_path / "front"))
        front.listen()
        gate = Gate(plane, plane.open_port(front), front.getsockname(), [])
    gate.add(origin)
    with gate.connect() as client, origin.accept() as server:
        client.sendall(b"hello")
        assert SIGNATURE + b"\x21\0\0\0hello" == exactly(server, 21)
