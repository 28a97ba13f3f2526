"""The program that the demo deploys, run as dewy runs programs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import soon
from tests.standins import programs

REQUEST = b"GET / HTTP/1.1\r\nConnection: %s\r\n\r\n"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    release = programs.unpacked(tmp_path / "release", programs.files("v7"))
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(30)
    with socket.create_server(("127.0.0.1", 0)) as listener, notify:
        fd = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, str(release / "program.py")],
            pass_fds=[fd],
            env={
                **os.environ,
                "SERVER_STARTER_PORT": f"127.0.0.1:80={fd}",
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
            },
        )
        assert b"READY=1" == notify.recv(100)
        yield process, listener.getsockname()[1]
    process.kill()
    process.wait()


def asked(port: int, connection: bytes = b"close") -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(REQUEST % connection)
        return sock.recv(1000)


def test_program_responds_with_its_version(running):
    assert asked(running[1]).endswith(b"\r\n\r\nv7\n")


def test_program_on_sigterm_drains_connections_and_exits(running):
    process, port = running
    with socket.create_connection(("127.0.0.1", port), timeout=30) as kept:
        kept.sendall(REQUEST % b"keep-alive")
        assert b"Connection: keep-alive" in kept.recv(1000)
        process.send_signal(signal.SIGTERM)

        def heard() -> bool:
            kept.sendall(REQUEST % b"keep-alive")
            answer = kept.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            return b"Connection: close" in answer

        soon(heard)

    assert 0 == process.wait(30)
