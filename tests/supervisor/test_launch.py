"""The last step before a program, run as dewy runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy.supervisor import launch

REPORT = """
import json, os, signal, socket, sys
fds = {}
for fd in range(3, 64):
    try:
        with socket.socket(fileno=os.dup(fd)) as s:
            fds[fd] = s.getsockname()[1]
    except OSError:
        pass
print(json.dumps({
    "pid": os.getpid(), "listen_pid": os.environ.get("LISTEN_PID"), "fds": fds,
    "sigpipe": signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN,
    "open": sorted(int(f) for f in os.listdir("/proc/self/fd"))[:-1],
}))
"""


@pytest.fixture
def control() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    yield pair
    for end in pair:
        end.close()


def start(
    control: socket.socket, program: list[str], sockets: list[socket.socket]
) -> subprocess.Popen[bytes]:
    fds = [s.fileno() for s in sockets]
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", launch.__file__),
            *(str(os.getpid()), str(control.fileno())),
            ",".join(map(str, fds)) or "-",
            *program,
        ],
        pass_fds=[control.fileno(), *fds],
        stdout=subprocess.PIPE,
    )
    control.close()
    return process


def report(process: subprocess.Popen[bytes]) -> dict[str, object]:
    out, _ = process.communicate(timeout=30)
    found: dict[str, object] = json.loads(out)
    return found


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    yield made
    for sock in made:
        sock.close()


@pytest.mark.parametrize("reverse", [False, True])
def test_sockets_arrive_at_3_and_up_in_order_and_nothing_else(
    control, listeners, reverse
):
    ours, theirs = control
    sockets = list(listeners)
    if reverse:
        sockets.reverse()
    process = start(theirs, [sys.executable, "-c", REPORT], sockets)
    ours.send(b"\n")

    found = report(process)

    ports = {str(n): s.getsockname()[1] for n, s in enumerate(sockets, 3)}
    assert ports == found["fds"]
    assert [0, 1, 2, 3, 4, 5, 6] == found["open"]
    assert str(found["pid"]) == found["listen_pid"]
    assert process.pid == found["pid"]


def test_the_program_finds_signals_as_a_shell_would_leave_them(control):
    """The interpreter that launches ignores SIGPIPE; the program must not."""
    ours, theirs = control
    process = start(theirs, ["grep", "SigIgn", "/proc/self/status"], [])
    ours.send(b"\n")
    out, _ = process.communicate(timeout=30)

    ignored = int(out.split()[1], 16)
    assert 0 == ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


def test_the_program_gets_the_descriptor_limit_dewy_had(control, monkeypatch):
    """Dewy raises its own for the proxy; select() in a program minds a large one."""
    monkeypatch.setenv(launch.DESCRIPTORS, "200")
    ours, theirs = control
    shown = f'ulimit -S -n; echo "${{{launch.DESCRIPTORS}-unset}}"'
    process = start(theirs, ["sh", "-c", shown], [])
    ours.send(b"\n")
    out, _ = process.communicate(timeout=30)

    assert [b"200", b"unset"] == out.split()


def test_program_is_not_executed_without_confirmation(control, tmp_path: Path):
    ours, theirs = control
    process = start(theirs, ["touch", str(tmp_path / "ran")], [])
    ours.close()

    assert 0 == process.wait(30)
    assert not (tmp_path / "ran").exists()
    process.communicate()


def test_exec_failure_is_reported_to_parent(control):
    ours, theirs = control
    process = start(theirs, ["/no/such/program"], [])
    ours.send(b"\n")

    assert b"No such file or directory" == ours.recv(1024)
    assert 127 == process.wait(30)
    process.communicate()


def test_a_child_whose_parent_has_gone_leaves(control):
    ours, theirs = control
    process = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", launch.__file__),
            *(str(os.getpid() + 1), str(theirs.fileno()), "-", "true"),
        ],
        pass_fds=[theirs.fileno()],
    )
    theirs.close()

    assert b"" == ours.recv(1)
    assert 0 == process.wait(30)
