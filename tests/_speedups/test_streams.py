"""Bytes and ends pass through both twins as they are."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import threading
from contextlib import suppress

import pytest

from tests.standins.plane import (
    DEADLINE,
    Origin,
    Plane,
    Start,
    exactly,
    reset,
    rest,
    soon,
)

MIB = 1 << 20
SHORT = {"connect_timeout": 0.05, "connect_budget": 0.1}
LATER = 0.3  # three times the longest of them


def silent(sock: socket.socket, seconds: float) -> bool:
    """Nothing comes, and no end either, for *seconds*."""
    sock.settimeout(seconds)
    try:
        sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(DEADLINE)
    return False


def test_bytes_go_both_ways(plane: Plane, origin: Origin) -> None:
    """And are counted, on the port and on the backend."""
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        client.sendall(b"question")
        assert b"question" == exactly(server, 8)
        server.sendall(b"answer")
        assert b"answer" == exactly(client, 6)

        # A relay thread counts bytes once they are sent, when they may be here already.
        soon(lambda: (1, 1, 8, 6) == gate.stats()[:4])
        assert (1, 1, 8, 6) == gate.of()[:4]


def test_server_may_speak_first(plane: Plane, origin: Origin) -> None:
    """As databases and mail servers do."""
    with plane.listen(origin).connect() as client, origin.accept() as server:
        server.sendall(b"220 ready")
        assert b"220 ready" == exactly(client, 9)


def test_client_half_close_waits_for_the_answer(started: Start, origin: Origin) -> None:
    """The original cuts here: a request whose end is a FIN got no reply."""
    gate = started(idle_timeout=0, **SHORT).listen(origin)
    with gate.connect() as client, origin.accept() as server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert b"question" == rest(server)
        assert silent(client, LATER)
        server.sendall(b"late ")
        assert silent(server, 0) is False  # its end of stream is still there
        server.sendall(b"answer")
        server.close()
        assert b"late answer" == rest(client)


def test_backend_half_close_leaves_the_upload_open(
    started: Start, origin: Origin
) -> None:
    """The other way round it is as good a half-close."""
    gate = started(idle_timeout=0, **SHORT).listen(origin)
    with gate.connect() as client, origin.accept() as server:
        server.sendall(b"go on")
        server.shutdown(socket.SHUT_WR)
        assert b"go on" == rest(client)
        assert silent(server, LATER)
        client.sendall(b"upload")
        client.close()
        assert b"upload" == rest(server)


def test_half_closed_client_finds_its_backend(plane: Plane, origin: Origin) -> None:
    """It may have said all it has to say before the backend was connected."""
    gate = plane.listen(origin)
    plane.pause(gate.number)
    with gate.connect() as client:
        client.sendall(b"all")
        client.shutdown(socket.SHUT_WR)
        plane.resume(gate.number)
        with origin.accept() as server:
            assert b"all" == rest(server)
            server.sendall(b"answer")
        assert b"answer" == rest(client)


def test_data_and_fin_in_same_segment_are_both_relayed(
    plane: Plane, origin: Origin
) -> None:
    """There is no second edge: a client that never closes first would hang."""
    gate = plane.listen(origin)
    for size in [1, 100, 1448] * 30:
        with gate.connect() as client, origin.accept() as server:
            client.sendall(b"?")
            exactly(server, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            server.sendall(b"x" * size)
            server.close()
            assert size == len(rest(client))


@pytest.mark.parametrize("ends", [True, False])
def test_urgent_byte_amid_a_stream_ends_nothing(
    plane: Plane, origin: Origin, ends: bool
) -> None:
    """
    A splice never passes it, and takes an end behind it for one before it.

    The byte itself is out of band, and goes no further.
    """
    gate = plane.listen(origin)
    with gate.connect() as client, origin.accept() as server:
        sending = threading.Thread(target=_send_urgently, args=(client, ends))
        sending.start()
        assert 4 * MIB == len(exactly(server, 4 * MIB))
        sending.join()
        if ends:
            assert b"" == rest(server)


def _send_urgently(sock: socket.socket, ends: bool) -> None:
    sock.sendall(bytes(3 * MIB))
    sock.send(b"!", socket.MSG_OOB)
    sock.sendall(bytes(MIB))
    if ends:
        sock.shutdown(socket.SHUT_WR)


def test_duplicate_of_closed_socket_does_not_affect_connections(
    plane: Plane, origin: Origin
) -> None:
    """
    A child that was just forked has it, too, until it has started its program.

    What happens to it meanwhile concerns no connection that was made since.
    """
    gate = plane.listen(origin)
    with gate.connect(), origin.accept() as left, _other_end(left):
        assert 1 == plane.cut(gate.backends[0])
        soon(lambda: not gate.stats().active)
        with gate.connect() as client:
            client.sendall(b"?")
            with origin.accept() as server:
                assert b"?" == exactly(server, 1)
                reset(left)
                for _ in range(5):
                    client.sendall(b"?")
                    assert b"?" == exactly(server, 1)


def _other_end(sock: socket.socket) -> socket.socket:
    """The relay's socket that *sock* is connected to, as a fork would copy it."""
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            copied = socket.socket(fileno=os.dup(int(number)))
            with suppress(OSError):
                if copied.getpeername() == sock.getsockname():
                    return copied
            copied.close()
    raise AssertionError("the relay has closed it")


def test_much_data_both_ways_at_once(plane: Plane, origin: Origin) -> None:
    """Every byte, in order."""
    _much(plane, origin, 64 * MIB)


@pytest.mark.soak
def test_a_gigabyte_both_ways_at_once(plane: Plane, origin: Origin) -> None:
    """Every byte, in order."""
    _much(plane, origin, 1024 * MIB)


def _much(plane: Plane, origin: Origin, size: int) -> None:
    gate = plane.listen(origin)
    block = random.Random(3).randbytes(MIB)
    expected = hashlib.sha256()
    for _ in range(size // MIB):
        expected.update(block)
    digests: dict[str, str] = {}
    with gate.connect() as client, origin.accept() as server:
        threads = []
        for name, sock in (("down", client), ("up", server)):
            threads += [
                threading.Thread(target=_send, args=(sock, block, size // MIB)),
                threading.Thread(target=_hash, args=(sock, name, digests)),
            ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {"up": expected.hexdigest(), "down": expected.hexdigest()} == digests
    soon(lambda: (size, size) == gate.stats()[2:4])


def _send(sock: socket.socket, block: bytes, times: int) -> None:
    for _ in range(times):
        sock.sendall(block)
    sock.shutdown(socket.SHUT_WR)


def _hash(sock: socket.socket, name: str, digests: dict[str, str]) -> None:
    digest = hashlib.sha256()
    while piece := sock.recv(MIB):
        digest.update(piece)
    digests[name] = digest.hexdigest()
