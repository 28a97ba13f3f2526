"""
Clients that connect, ask once and then only hold their connections.

    python -m benchmarks.crowd PORT COUNT

says `ready` when all have been answered, and leaves when its input ends.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .processes import HOST, raise_descriptor_limit

REQUEST = b"GET /11 HTTP/1.1\r\nHost: crowd\r\n\r\n"
REPLY = b"hello world"


def join(port: int) -> socket.socket:
    """Connect, ask and read the reply; raises ConnectionError if there is none."""
    client = socket.create_connection((HOST, port), timeout=20)
    client.sendall(REQUEST)
    received = b""
    while not received.endswith(REPLY):
        more = client.recv(4096)
        if not more:
            raise ConnectionError(f"port {port} closed before it had answered")
        received += more
    return client


@contextmanager
def crowd(port: int, count: int) -> Iterator[None]:
    """Hold *count* connections to *port*, from a process of their own."""
    command = [sys.executable, "-m", "benchmarks.crowd", str(port), str(count)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{count} clients could not connect to port {port}")
        try:
            yield
        finally:
            process.stdin.close()


def main() -> None:
    """Hold the connections until told to leave."""
    raise_descriptor_limit()
    port, count = int(sys.argv[1]), int(sys.argv[2])
    clients = [join(port) for _ in range(count)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()
