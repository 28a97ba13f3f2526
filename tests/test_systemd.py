"""Dewy's own side of sd_notify, over real datagram sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy.systemd import Service

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


def test_status_is_sent_as_single_line(service: Service, manager: Manager) -> None:
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


def test_service_variables_are_removed_from_environment() -> None:
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
def test_watchdog_for_other_pid_or_invalid_interval_is_disabled(
    variables: dict[str, str], expected: float
) -> None:
    shown = f"watchdog={expected:g}s"

    assert shown in repr(Service.from_environment(dict(variables)))
