"""
The parts of the relay: a choice of backend, a first byte, bodies small and large.

These are absolute times, for comparing two versions on one machine; what must hold
is in `gate.py`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import ModuleType

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dewy._speedups import relay_c, relay_py
from dewy._speedups.port_py import Backend, Table

from .contestants import Contestant
from .processes import HOST
from .workloads import KIB, MIB

DEADLINE = 20


class Client:
    """One keep-alive connection that fetches one body again and again."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=DEADLINE)
        self._request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        self._buffer = bytearray(256 * KIB)
        self._length = self._reply_length()

    def _reply_length(self) -> int:
        self._socket.sendall(self._request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(64 * KIB)
        head = received.partition(b"\r\n\r\n")[0]
        (size,) = (
            int(line.split()[1])
            for line in head.splitlines()
            if line.startswith(b"Content-Length:")
        )
        length = len(head) + 4 + size
        self._read(length - len(received))
        return length

    def _read(self, left: int) -> None:
        while left:
            left -= self._socket.recv_into(self._buffer)

    def fetch(self) -> None:
        """Ask once and read the whole reply."""
        self._socket.sendall(self._request)
        self._read(self._length)

    def close(self) -> None:
        """Leave."""
        self._socket.close()


@pytest.fixture(params=[KIB, MIB], ids=["1 KiB", "1 MiB"])
def client(request: pytest.FixtureRequest, proxy: Contestant) -> Iterator[Client]:
    """A client that asks for a body of either size."""
    fetching = Client(proxy.port, f"/{request.param}")
    yield fetching
    fetching.close()


@pytest.mark.parametrize("chosen_from", [2], indirect=True)
def bench_pump(benchmark: BenchmarkFixture, client: Client) -> None:
    """A reply through the relay, the request included."""
    benchmark(client.fetch)


def first_byte(port: int) -> None:
    """Connect, ask, wait for the first byte of the reply and leave."""
    with socket.create_connection((HOST, port), timeout=DEADLINE) as client:
        client.sendall(b"GET /11 HTTP/1.1\r\nHost: bench\r\n\r\n")
        assert client.recv(1)


def bench_accept_to_first_byte(benchmark: BenchmarkFixture, proxy: Contestant) -> None:
    """A new connection, with few backends to choose from and with many."""
    benchmark(first_byte, proxy.port)


@pytest.mark.parametrize("balance", ["round-robin", "least-connections"])
@pytest.mark.parametrize("count", [2, 1000])
def bench_table_pick(benchmark: BenchmarkFixture, balance: str, count: int) -> None:
    """One choice; the compiled relay's shows in the time to the first byte."""
    table = Table(balance)
    address = (HOST, 1)
    members = [Backend(number, 0, socket.AF_INET, address) for number in range(count)]
    table.swap(members)
    assert benchmark(table.pick, ()) in members


@pytest.mark.parametrize("twin", [relay_c, relay_py], ids=["compiled", "pure"])
@pytest.mark.parametrize("count", [2, 1000])
def bench_table_swap(benchmark: BenchmarkFixture, twin: ModuleType, count: int) -> None:
    """The whole set exchanged at once, as at the end of a deployment."""
    relay = twin.Relay(1)
    with socket.create_server((HOST, 0)) as listener:
        port = relay.open_port(listener)
        address = (HOST, 1)
        old, new = (
            [
                relay.add_backend(port, socket.AF_INET, address, serving=False)
                for _ in range(count)
            ]
            for _ in range(2)
        )

        def swap() -> None:
            relay.serve(port, old)
            relay.serve(port, new)

        benchmark(swap)
    relay.close()
