"""What connections cost, and what many of them do to each other."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dewy._speedups.interface import DRAINED, WorkerStats
from tests.eventually import DEADLINE, eventually
from tests.standins import crowd
from tests.standins.plane import Gate, Origin, Plane, Start, exactly, soon

Crowd = Callable[..., subprocess.Popen[str]]

SLOW = 16
KIB = 1024
HELD = 0.5  # seconds that the interpreter lock is held


@pytest.fixture(autouse=True)
def _descriptors() -> Iterator[None]:
    """As many as there may be."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def people() -> Iterator[Crowd]:
    """Starts clients or backends in processes of their own."""
    with ExitStack() as stack:

        def start(*words: object) -> subprocess.Popen[str]:
            command = [sys.executable, crowd.__file__, *map(str, words)]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def heard(process: subprocess.Popen[str], line: str = "") -> str:
    """What *process* says next, asked with *line*."""
    assert process.stdin
    assert process.stdout
    if line:
        process.stdin.write(line)
        process.stdin.flush()
    return process.stdout.readline().strip()


def before(plane: Plane, server: subprocess.Popen[str]) -> Gate:
    """A port before *server*, which says where it listens."""
    gate = plane.listen()
    address = (crowd.HOST, int(heard(server)))
    gate.backends = [plane.add_backend(gate.number, socket.AF_INET, address)]
    return gate


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def fill(sock: socket.socket, block: bytes) -> int:
    """Send until nothing more is taken for a moment."""
    sent = 0
    sock.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while True:
            sent += sock.send(block)
    return sent


def test_slow_reader_holds_its_source_back(plane: Plane, origin: Origin) -> None:
    """It costs 128 KiB of memory at most, and loses nothing."""
    gate = plane.listen(origin)
    block = bytes(64 * KIB)
    with ExitStack() as stack:
        pairs = []
        for _ in range(SLOW):
            client = stack.enter_context(gate.connect())
            pairs.append((client, stack.enter_context(origin.accept())))
        least = resident()
        sent = [fill(server, block) for _, server in pairs]
        assert resident() - least <= SLOW * 128 * KIB
        held = sum(each.buffers_held + each.pipes_held for each in plane.worker())
        assert held <= SLOW
        for (client, server), size in zip(pairs, sent, strict=True):
            server.close()
            assert size == len(exactly(client, size))


def test_big_reply_leaves_nothing_behind(plane: Plane, origin: Origin) -> None:
    """An idle keep-alive connection holds neither a pipe nor a buffer."""
    gate = plane.listen(origin)
    size = 8 * KIB * KIB
    with gate.connect() as client, origin.accept() as server:
        for _ in range(2):
            client.sendall(b"?")
            exactly(server, 1)
            sending = threading.Thread(target=server.sendall, args=(bytes(size),))
            sending.start()
            assert size == len(exactly(client, size))
            sending.join()
            soon(lambda: [(0, 0)] == [held(each) for each in plane.worker()])


def held(worker: WorkerStats) -> tuple[int, int]:
    """Its pipes and its buffers."""
    return worker.pipes_held, worker.buffers_held


def test_bulk_leaves_others_their_turn(plane: Plane, origin: Origin) -> None:
    """A stream that never pauses does not keep a small request waiting for long."""
    gate = plane.listen(origin)
    with ExitStack() as stack:
        client, bulk = stack.enter_context(gate.connect()), origin.accept()
        stack.enter_context(bulk)
        other = stack.enter_context(gate.connect())
        small = stack.enter_context(origin.accept())
        sending = threading.Thread(target=_flood, args=(bulk,))
        reading = threading.Thread(target=_swallow, args=(client,))
        sending.start()
        reading.start()
        soon(lambda: gate.stats().bytes_down > KIB * KIB)
        for _ in range(20):
            other.sendall(b"?")
            assert b"?" == exactly(small, 1)
        bulk.shutdown(socket.SHUT_RDWR)
        client.shutdown(socket.SHUT_RDWR)
        sending.join()
        reading.join()


def _flood(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock.sendall(bytes(256 * KIB))


def _swallow(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(256 * KIB):
            pass


def test_two_thousand_connections_at_once(plane: Plane, people: Crowd) -> None:
    """Each is answered, again and again."""
    many(plane, people, 2000)


@pytest.mark.soak
def test_nine_thousand_connections_at_once(plane: Plane, people: Crowd) -> None:
    """Each is answered, again and again."""
    many(plane, people, 9000)


def many(plane: Plane, people: Crowd, count: int) -> None:
    gate = before(plane, people("serve"))
    clients = people("hold", gate.address[1], count)
    assert str(count) == heard(clients)
    assert (count, count) == gate.stats()[:2]
    assert str(count) == heard(clients, "again\n")
    # A relay thread counts bytes once they are sent, when they may be there already.
    soon(lambda: (2 * count, 2 * count) == gate.stats()[2:4])
    clients.kill()
    soon(lambda: not gate.stats().active)


def test_connection_is_counted_or_goes_elsewhere(
    plane: Plane, people: Crowd, soak: bool
) -> None:
    """
    Of 20,000 drains under a storm of new connections (soak: 100,000), not one misses
    a connection that is being assigned at that moment.
    """
    gate = before(plane, people("serve"))
    address = (crowd.HOST, int(heard(people("serve"))))
    gate.backends.append(plane.add_backend(gate.number, socket.AF_INET, address))
    storm = people("storm", gate.address[1])
    soon(lambda: gate.stats().accepted > 100)
    tries = 100_000 if soak else 20_000
    assigned = plane.finish(drains(plane, gate, tries), 4 * DEADLINE)
    assert storm.stdin
    storm.stdin.close()
    assert storm.wait(60) == 0
    assert assigned > 0


async def drains(plane: Plane, gate: Gate, tries: int) -> int:
    """
    Drain and serve again, *tries* times at least, until some connections have come
    between; how many.
    """
    relay: Any = plane.relay
    drained, _ = gate.backends
    began = relay.backend_stats(drained).total
    for number in count():
        if number >= tries and relay.backend_stats(drained).total > began:
            break
        left = relay.drain(drained)
        at_once = relay.backend_stats(drained)
        if number % 100 == 0:
            await asyncio.sleep(0)  # on the loop, this is when connections come
        later = relay.backend_stats(drained)
        # One that is still being connected is active, and counted once it was sent out.
        dialled = later.total - at_once.total
        assert dialled <= at_once.active, "assigned although it was out"
        assert later.active <= at_once.active <= left
        relay.serve(gate.number, gate.backends)
        if number % 100 == 0:
            await asyncio.sleep(0)
    total: int = relay.backend_stats(drained).total
    relay.drain(drained)
    await eventually(lambda: not relay.backend_stats(drained).active)
    await eventually(lambda: [(DRAINED, drained, 0)] == plane.events[-1:])
    return total - began


@pytest.mark.parametrize("twin", ["c-threads"], indirect=True)
def test_threads_share_the_connections(started: Start, people: Crowd) -> None:
    """Each of two holds 40 to 60 % of a thousand."""
    plane = started(threads=2)
    gate = before(plane, people("serve"))
    clients = people("hold", gate.address[1], 1000)
    assert "1000" == heard(clients)
    shares = [each.active for each in plane.worker()]
    assert 1000 == sum(shares)
    assert all(400 <= share <= 600 for share in shares), shares
    assert 1000 == sum(each.accepted for each in plane.worker())


@pytest.mark.parametrize("twin", ["c-threads"], indirect=True)
def test_interpreter_lock_stops_no_bytes(plane: Plane, people: Crowd) -> None:
    """A garbage collection or an import holds it; the relay's threads never want it."""
    gate = before(plane, people("serve"))
    client = people("pace", gate.address[1], 3000)
    holding = ctypes.PyDLL(None).usleep
    for _ in range(3):
        holding(int(HELD * 1e6))
    times = [float(word) for word in heard(client).split()]
    assert times[len(times) * 99 // 100] < HELD / 4
