"""Whose connection it is: with real sockets and processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dewy.supervisor import probe
from dewy.supervisor.probe import LOOKS, SocketOwner
from dewy.supervisor.processes import Ends

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def waiting(listener: socket.socket) -> Iterator[Ends]:
    """A connection that nobody has accepted."""
    with socket.create_connection(listener.getsockname()) as client:
        yield Ends(client.getpeername(), client.getsockname())


@pytest.fixture
def accepted(listener: socket.socket, waiting: Ends) -> Iterator[Ends]:
    """A connection that this process has accepted."""
    with listener.accept()[0]:
        yield waiting


@pytest.fixture
def stranger() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


def test_unaccepted_connection_has_no_owner(waiting: Ends) -> None:
    assert {} == SocketOwner(os.getpid()).look([waiting])


def test_connection_its_process_has_open_is_ours(accepted: Ends) -> None:
    assert {accepted: True} == SocketOwner(os.getpid()).look([accepted])


def test_connection_of_another_is_strange_after_some_looks(
    accepted: Ends, stranger: int
) -> None:
    """It may be about to reach its process: the table is a moment ahead."""
    owner = SocketOwner(stranger)
    for _ in range(LOOKS - 1):
        assert {} == owner.look([accepted])

    assert {accepted: False} == owner.look([accepted])


def test_connections_are_attributed_individually(
    listener: socket.socket, accepted: Ends
) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        waiting = Ends(client.getpeername(), client.getsockname())

        assert {accepted: True} == SocketOwner(os.getpid()).look([accepted, waiting])


def test_nothing_asked_is_nothing_told() -> None:
    assert {} == SocketOwner(os.getpid()).look([])


def fail(exc: OSError) -> object:
    def raising(*arguments: object) -> object:
        raise exc

    return raising


@pytest.mark.parametrize("exc", [FileNotFoundError(), PermissionError()])
def test_where_nothing_is_told_all_count_and_that_is_said_once(
    waiting: Ends,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    exc: OSError,
) -> None:
    monkeypatch.setattr(probe, "accepted_inodes", fail(exc))
    whose = SocketOwner(1)

    for _ in range(2):
        assert {waiting: True} == whose.look([waiting])
    assert ["Health check counts answers of any generation"] == caplog.messages


def test_processes_that_deny_us_might_have_accepted(
    accepted: Ends, stranger: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program with capabilities of its own hides its descriptors from its user."""
    monkeypatch.setattr(probe, "held", fail(PermissionError()))

    assert {accepted: True} == SocketOwner(stranger).look([accepted])


@pytest.mark.parametrize("step", ["accepted_inodes", "held"])
def test_trouble_of_our_own_tells_nothing(
    accepted: Ends, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Out of descriptors, a look says neither one nor the other."""
    monkeypatch.setattr(probe, step, fail(OSError(24, "Too many open files")))

    assert {} == SocketOwner(os.getpid()).look([accepted])
