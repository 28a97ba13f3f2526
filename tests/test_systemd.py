"""Dewy's own side of sd_notify and socket activation, over real sockets."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy import systemd
from dewy.systemd import Service
from tests.needs import needs

ABSTRACT = pytest.mark.skipif(sys.platform != "linux", reason="abstract names")


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(10)

    def heard(self) -> list[str]:
        """The next message, line by line."""
        return self.socket.recv(4096).decode().split("\n")

    def silent(self) -> bool:
        """Whether nothing has come."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture(params=["path", pytest.param("abstract", marks=ABSTRACT)])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    names = {"path": str(tmp_path / "notify"), "abstract": f"@dewy-{uuid.uuid4()}"}
    manager = Manager(names[request.param])
    yield manager
    manager.socket.close()


@pytest.fixture
def service(manager: Manager) -> Service:
    return Service.from_environment({"NOTIFY_SOCKET": manager.address})


def test_readiness_comes_with_a_status(service: Service, manager: Manager) -> None:
    service.ready("serving v1.0.0")

    assert ["READY=1", "STATUS=serving v1.0.0"] == manager.heard()


def test_status_is_one_line(service: Service, manager: Manager) -> None:
    """A line break would start another field."""
    service.status("fetching\nREADY=1")

    assert ["STATUS=fetching READY=1"] == manager.heard()


def test_stopping_is_announced(service: Service, manager: Manager) -> None:
    service.stopping("draining")

    assert ["STOPPING=1", "STATUS=draining"] == manager.heard()


def test_reload_carries_the_time(service: Service, manager: Manager) -> None:
    """Type=notify-reload needs it to tell this reload from an earlier one."""
    service.reloading()
    first = manager.heard()
    service.reloading()
    second = manager.heard()

    assert "RELOADING=1" == first[0]
    times = [int(lines[1].removeprefix("MONOTONIC_USEC=")) for lines in (first, second)]
    assert 0 < times[0] <= times[1]


def test_extension_is_in_microseconds(service: Service, manager: Manager) -> None:
    service.extend(1.5)

    assert ["EXTEND_TIMEOUT_USEC=1500000"] == manager.heard()


async def test_signs_of_life_repeat_until_cancelled(manager: Manager) -> None:
    service = Service(manager.address, watchdog=0.002)
    manager.socket.setblocking(False)
    watch = asyncio.create_task(service.watch())

    loop = asyncio.get_running_loop()
    for _ in range(3):
        assert b"WATCHDOG=1" == await loop.sock_recv(manager.socket, 100)
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


async def test_without_a_watchdog_there_is_nothing_to_watch(
    service: Service, manager: Manager
) -> None:
    await service.watch()

    assert manager.silent()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/nowhere/at/all"])
def test_dewy_runs_on_without_a_manager(address: str) -> None:
    """Nothing raises: no manager, one we cannot speak to, one that is gone."""
    service = Service.from_environment({"NOTIFY_SOCKET": address})

    service.ready("up")
    service.stopping("down")


@pytest.mark.parametrize("address", ["/" + "x" * 200, "@" + "x" * 200])
def test_address_too_long_for_a_socket_is_no_error(address: str) -> None:
    Service(address).ready("up")


def test_full_queue_does_not_block(service: Service, manager: Manager) -> None:
    """The manager may be busy; dewy does not wait for it."""
    for number in range(2000):
        service.status(str(number))

    assert ["STATUS=0"] == manager.heard()


def test_children_inherit_none_of_it() -> None:
    variables = {
        "HOME": "/",
        "LISTEN_FDNAMES": "web",
        "LISTEN_FDS": "1",
        "LISTEN_PID": "1",
        "LISTEN_PIDFDID": "7",
        "NOTIFY_SOCKET": "@x",
        "WATCHDOG_PID": "1",
        "WATCHDOG_USEC": "1000",
    }
    Service.from_environment(variables)

    assert {"HOME": "/"} == variables


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
        ({}, 0.0),
    ],
)
def test_watchdog_is_only_ours_if_it_names_us(
    variables: dict[str, str], expected: float
) -> None:
    shown = f"watchdog={expected:g}s"

    assert shown in repr(Service.from_environment(dict(variables)))


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
def test_blocking_mode_stays_as_it_came(
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


def test_what_does_not_listen_is_closed(
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
