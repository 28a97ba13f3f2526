"""A port of the pure twin by itself."""

from __future__ import annotations

import socket
import struct

from dewy._speedups.port_py import Buckets, Port, prepare
from tests.standins.plane import listening


def test_value_equal_to_a_bound_belongs_to_its_bucket() -> None:
    """As everywhere that Prometheus reads."""
    histogram = Buckets((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.add(value)
    assert [2, 2, 1] == histogram.counts
    assert 8.0 == histogram.total


def test_accepted_sockets_inherit_their_options() -> None:
    """One call for the listener instead of five for each connection."""
    with listening() as listener:
        port = Port(1, listener, True, "round-robin")
        with socket.create_connection(listener.getsockname()):
            (client,) = port.accept()
        with client:
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert 60 == client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert not client.getblocking()
        port.listener.close()


def test_a_turn_accepts_sixteen() -> None:
    """Then connections have theirs."""
    with listening() as listener:
        port = Port(1, listener, True, "round-robin")
        address = listener.getsockname()
        waiting = [socket.create_connection(address) for _ in range(20)]
        accepted = list(port.accept())
        assert 16 == len(accepted)
        assert 16 == port.stats().accepted
        for sock in (*waiting, *accepted, port.listener):
            sock.close()


def test_client_that_has_left_is_accepted_all_the_same() -> None:
    """The kernel keeps its place in the queue."""
    with listening() as listener:
        port = Port(1, listener, True, "round-robin")
        gone = socket.create_connection(listener.getsockname())
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.close()
        for client in port.accept():
            client.close()
        port.listener.close()


def test_unix_sockets_take_no_tcp_options() -> None:
    """They are left as they are."""
    with socket.socket(socket.AF_UNIX) as sock:
        prepare(sock)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
