"""Reading /proc: lines of the kernel's, and processes and sockets of our own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dewy.supervisor import processes
from dewy.supervisor.processes import (
    Ends,
    Process,
    accepted_inodes,
    belongs,
    find_inodes,
    held,
    holder,
    listening_inodes,
    members,
    parse_stat,
    related,
    unaccepted,
    users,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

HEAD = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"
V4 = (
    HEAD
    + b"""   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 \
       0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000 \
       0 4712 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000 \
       0 4713 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:D432 01 00000000:00000000 00:00000000 00000000     0 \
       0 0 1 0000000000000000 20 4 30 10 -1
"""
)
V6 = (
    HEAD
    + b"""   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A \
00000000:00000000 00:00000000 00000000     0        0 5711 1 0000000000000000 100
   1: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:D431 01 \
00000000:00000000 00:00000000 00000000     0        0 5712 1 0000000000000000 20 4
   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:D433 01 \
00000000:00000000 00:00000000 00000000     0        0 5713 1 0000000000000000 20 4
"""
)
little_endian = pytest.mark.skipif(sys.byteorder == "big", reason="recorded tables")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"7 (nginx) S 1 7 6 0 -1 4194560 190", Process(7, parent=1, session=6)),
        (b"7 (a b) R 1 (x) Z 2 3 4 0 -1", Process(7, parent=2, session=4)),
        (b"7 (new\nline) S 1 7 6 0 -1", Process(7, parent=1, session=6)),
        (b"7 () S 1 7 6 0 -1", Process(7, parent=1, session=6)),
    ],
)
def test_name_of_a_process_may_hold_anything(line: bytes, expected: Process) -> None:
    assert expected == parse_stat(line)


def test_session_and_descent_both_make_a_member() -> None:
    table = [
        Process(1, parent=0, session=1),
        Process(9, parent=8, session=9),  # a session of its own, below 8
        Process(5, parent=1, session=5),  # the leader
        Process(6, parent=5, session=5),
        Process(7, parent=1, session=5),  # orphaned
        Process(8, parent=7, session=8),  # a child of an orphan, in another session
        Process(2, parent=1, session=2),  # a stranger
        Process(3, parent=2, session=2),
    ]
    assert {5, 6, 7, 8, 9} == related(table, 5)


def test_unknown_leader_has_no_related_processes() -> None:
    assert frozenset() == related([Process(1, parent=0, session=1)], 5)


@little_endian
@pytest.mark.parametrize(
    ("table", "host", "port", "expected"),
    [
        (V4, "127.0.0.1", 0xD431, 4712),
        (V4, "::ffff:127.0.0.1", 0xD431, 4712),
        (V4, "127.0.0.1", 0xD432, 0),  # in the backlog
        (V4, "127.0.0.1", 0xD499, 0),
        (V4, "127.0.0.2", 0xD431, 0),
        (V6, "::1", 0xD431, 5712),
        (V6, "::1%lo", 0xD431, 5712),
        (V6, "127.0.0.1", 0xD433, 5713),  # accepted by a socket of both kinds
        (V6, "127.0.0.1", 0xD431, 0),
    ],
)
def test_connection_is_found_by_its_ends(
    table: bytes, host: str, port: int, expected: int
) -> None:
    local = (host, 8080) if host != "127.0.0.2" else ("127.0.0.1", 8080)

    ends = Ends(local, (host, port))
    found = {ends: expected} if expected else {}

    assert found == find_inodes(table, [ends])


@little_endian
def test_only_listeners_on_that_port_count() -> None:
    assert {4711, 5711} == listening_inodes(V4 + V6, 8080)
    assert set() == listening_inodes(V4 + V6, 0xD431)


FAMILY = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
apart = subprocess.Popen(["sleep", "60"], start_new_session=True)
print(child.pid, apart.pid, flush=True)
sys.stdin.read()
child.kill()
apart.kill()
"""


@pytest.fixture
def family() -> Iterator[tuple[int, set[int]]]:
    """A session leader with a child in its session and one in another."""
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    children = {int(pid) for pid in process.stdout.readline().split()}
    yield process.pid, {process.pid, *children}
    process.communicate()


def test_living_members_are_found(family: tuple[int, set[int]]) -> None:
    leader, expected = family

    assert expected == members(leader)


def test_zombie_still_belongs() -> None:
    """What it said before its end can still be attributed to it."""
    process = subprocess.Popen(["true"], start_new_session=True)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert {process.pid} == members(process.pid)
    process.wait()
    assert set() == members(process.pid)


def test_users_of_the_living_are_told() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert {os.geteuid()} == users([os.getpid(), gone.pid])


@pytest.fixture(
    params=["127.0.0.1", "0.0.0.0", "::1", "::"], ids=["v4", "any4", "v6", "any6"]
)
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    both = request.param == "::"
    with socket.create_server(
        (request.param, 0), family=family, dualstack_ipv6=both
    ) as sock:
        yield sock


def test_inode_appears_when_the_connection_is_accepted(
    listener: socket.socket,
) -> None:
    port = listener.getsockname()[1]
    host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    hosts = [host, "127.0.0.1"] if listener.getsockname()[0] == "::" else [host]
    for host in hosts:
        with socket.create_connection((host, port)) as client:
            ends = Ends(client.getpeername()[:2], client.getsockname()[:2])
            assert {} == accepted_inodes([ends])
            accepted, _ = listener.accept()
            with accepted:
                inode = os.fstat(accepted.fileno()).st_ino
                assert {ends: inode} == accepted_inodes([ends])


def test_socket_is_attributed_to_process_holding_fd(listener: socket.socket) -> None:
    inode = os.fstat(listener.fileno()).st_ino
    stranger = subprocess.Popen(["sleep", "60"])
    heir = subprocess.Popen(["sleep", "60"], pass_fds=[listener.fileno()])
    try:
        assert {inode} == held([os.getpid()], [inode, 1])
        assert {inode} == held([stranger.pid, heir.pid], [inode])
        assert set() == held([stranger.pid], [inode])
        assert set() == held([], [inode])
    finally:
        for process in (stranger, heir):
            process.kill()
            process.wait()
    assert set() == held([heir.pid], [inode])


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors of other users' processes are not shown."""

    def listdir(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(processes.os, "listdir", listdir)


@pytest.mark.usefixtures("denied")
def test_not_being_allowed_to_look_is_not_an_answer() -> None:
    with pytest.raises(PermissionError):
        held([os.getpid()], [1])


@pytest.mark.usefixtures("denied")
def test_zombies_that_deny_us_hold_nothing() -> None:
    """The kernel shows their directory to root only; they have nothing open."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert set() == held([process.pid], [1])
    process.wait()


def test_connections_wait_until_they_are_accepted(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    with socket.create_connection((host, port)), socket.create_connection((host, port)):
        before = unaccepted(host, port)
        listener.accept()[0].close()
        after = unaccepted(host, port)

    assert (2, 1) == (len(before), len(after))
    assert after < before


def test_connection_of_client_that_left_waits_to_be_accepted(
    listener: socket.socket,
) -> None:
    host, port = listener.getsockname()[:2]
    socket.create_connection((host, port)).close()

    assert 1 == len(unaccepted(host, port))


def test_holder_of_a_port_is_named(listener: socket.socket) -> None:
    with open("/proc/self/comm", encoding="utf-8") as file:
        name = file.read().strip()

    assert f"{name} (pid {os.getpid()})" == holder(listener.getsockname()[1])


def test_holder_of_port_without_listener_is_unnamed() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))

        assert "another process" == holder(sock.getsockname()[1])


def test_holder_we_may_not_see_has_no_name(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sockets(pid: int) -> Iterator[int]:
        raise PermissionError

    monkeypatch.setattr(processes, "_sockets", sockets)

    assert "another process" == holder(listener.getsockname()[1])


def test_process_belongs_to_its_ancestors_and_session() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=-1)
    try:
        assert belongs(child.pid, child.pid)
        assert belongs(child.pid, os.getpid())
        assert belongs(child.pid, os.getsid(0))
        assert not belongs(os.getpid(), child.pid)
    finally:
        child.communicate(b"\n")
    assert not belongs(child.pid, os.getpid())
