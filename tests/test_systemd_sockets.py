"""Socket activation: what a service manager passes, and the real systemd."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dewy import systemd
from dewy.systemd import Service
from tests.needs import needs


class Passed:
    """Descriptors in a row, as a manager passes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.first = 700
        self.count = 0
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", self.first)

    def add(self, fd: int) -> int:
        target = self.first + self.count
        assert target == fcntl.fcntl(fd, fcntl.F_DUPFD, target)
        os.set_inheritable(target, True)
        self.count += 1
        return target

    def variables(self, names: str = "", pid: int = 0) -> dict[str, str]:
        return {
            "LISTEN_PID": str(pid or os.getpid()),
            "LISTEN_FDS": str(self.count),
            "LISTEN_FDNAMES": names,
        }

    def close(self) -> None:
        os.closerange(self.first, self.first + self.count)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Passed]:
    passed = Passed(monkeypatch)
    yield passed
    passed.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def open_fds() -> set[str]:
    return set(os.listdir("/dev/fd"))


def test_listening_sockets_are_taken_by_name(
    passed: Passed, listening: socket.socket
) -> None:
    for _ in range(3):
        passed.add(listening.fileno())
    taken = Service.from_environment(passed.variables("web:admin")).listeners()

    assert ["web", "admin", "unknown"] == [name for name, _ in taken]
    for _, sock in taken:
        assert listening.getsockname() == sock.getsockname()
        sock.close()


def test_passed_descriptors_do_not_reach_children(
    passed: Passed, listening: socket.socket
) -> None:
    """They are closed to children before anybody asks for them."""
    fd = passed.add(listening.fileno())
    Service.from_environment(passed.variables())

    assert not os.get_inheritable(fd)


@pytest.mark.parametrize("blocking", [True, False])
def test_blocking_mode_of_passed_socket_is_unchanged(
    passed: Passed, listening: socket.socket, blocking: bool
) -> None:
    """It is shared with every other process that has the socket."""
    listening.setblocking(blocking)
    passed.add(listening.fileno())
    [(_, sock)] = Service.from_environment(passed.variables()).listeners()

    with sock:
        assert blocking == os.get_blocking(sock.fileno())


def test_sockets_are_handed_over_once(passed: Passed, listening: socket.socket) -> None:
    passed.add(listening.fileno())
    service = Service.from_environment(passed.variables())
    [(_, sock)] = service.listeners()

    with sock:
        assert [] == service.listeners()


def test_non_listening_descriptors_are_closed(
    passed: Passed, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection, a datagram socket, a pipe, a closed descriptor."""
    left, right = socket.socketpair()
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reading, writing = os.pipe()
    for fd in (left.fileno(), datagram.fileno(), reading, writing):
        passed.add(fd)
    os.close(passed.first + 3)
    before = open_fds()

    assert [] == Service.from_environment(passed.variables()).listeners()

    assert {str(passed.first + n) for n in range(3)} == before - open_fds()
    assert 4 == caplog.messages.count("Passed descriptor refused")
    for sock in (left, right, datagram):
        sock.close()
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("pid", ["1", "", "rubbish"])
def test_sockets_of_another_process_are_left_alone(
    passed: Passed, listening: socket.socket, pid: str
) -> None:
    """LISTEN_PID was inherited from somebody who forgot to remove it."""
    fd = passed.add(listening.fileno())
    variables = passed.variables() | {"LISTEN_PID": pid}

    assert [] == Service.from_environment(variables).listeners()
    assert os.get_inheritable(fd)


@pytest.mark.parametrize("count", ["", "-1", "many", "9" * 5000])
def test_nonsense_count_is_no_socket(count: str) -> None:
    variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}

    assert [] == Service.from_environment(variables).listeners()


ACTIVATED = """
import json, os
from dewy.systemd import Service
service = Service.from_environment(os.environ)
left = [name for name in os.environ if name.startswith("LISTEN_")]
taken = service.listeners()
connection, _ = taken[0][1].accept()
told = [[name, sock.getsockname()[1]] for name, sock in taken]
connection.sendall(json.dumps({"sockets": told, "left": left}).encode())
"""


@needs("systemd-socket-activate")
def test_systemd_itself_is_understood() -> None:
    """The real `systemd-socket-activate` starts a process on its first connection."""
    ports = [free_port(), free_port()]
    command = ["systemd-socket-activate", "--fdname=web:admin"]
    command += [f"--listen=127.0.0.1:{port}" for port in ports]
    with subprocess.Popen(
        [*command, sys.executable, "-c", ACTIVATED],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            told = json.loads(ask(process, ports[0]))
        finally:
            process.kill()

    expected = [["web", ports[0]], ["admin", ports[1]]]
    assert {"sockets": expected, "left": []} == told


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def ask(process: subprocess.Popen[bytes], port: int) -> bytes:
    """Connect as soon as *process* listens, and read to the end."""
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
                return b"".join(iter(lambda: sock.recv(4096), b""))
        except ConnectionRefusedError:
            continue
    raise AssertionError("systemd-socket-activate ended early")
