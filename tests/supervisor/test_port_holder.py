"""What holds a port, and whether it is ours to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dewy.config import Address
from dewy.errors import DewyError
from dewy.supervisor.orphans import LeftPrograms, end_in_order, left_at, lies_below
from dewy.supervisor.processes import holders
from dewy.supervisor.sockets import open_listeners

DRAINS = """
import signal, socket, sys
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.signal(signal.SIGTERM, lambda *_: sock.close())
print(flush=True)
sys.stdin.read()
"""

HOLDS = """
import signal, socket, sys
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
signal.pause()
"""


@contextmanager
def holding(
    port: int, cwd: Path, *words: str, program: str = HOLDS
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with working directory *cwd* that listens on *port*."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", program, str(port), *words],
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def idle(cwd: Path, descriptor: int) -> Iterator[None]:
    """A process that has inherited *descriptor*."""
    command = (sys.executable, "-S", "-c", "input()")
    with subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.PIPE, pass_fds=[descriptor]
    ) as process:
        try:
            yield
        finally:
            process.communicate(b"\n")


def opened(
    port: int, root: Path, stop_timeout: float = 20, patience: float = 20
) -> None:
    """Open *port* as a dewy of *root* does that starts."""

    async def main() -> None:
        address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)
        async with LeftPrograms(root, stop_timeout) as left:
            with await open_listeners([address], [], patience, left.end):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("words", [(), ("deaf",)], ids=["ends", "deaf"])
def test_program_left_in_the_root_makes_way(
    tmp_path: Path, unused_tcp_port: int, words: tuple[str, ...], caplog
):
    with holding(unused_tcp_port, tmp_path, *words) as left:
        opened(unused_tcp_port, tmp_path, stop_timeout=0.3 if words else 20)

        assert (-9 if words else -15) == left.wait(60)
    assert any("earlier dewy left" in message for message in caplog.messages)


def test_port_is_opened_while_leftover_process_drains(
    tmp_path: Path, unused_tcp_port: int
):
    """An idle connection keeps it for long, and nobody is to be turned away so long."""
    with holding(unused_tcp_port, tmp_path, program=DRAINS) as left:
        opened(unused_tcp_port, tmp_path, stop_timeout=3600)

        assert left.poll() is None


def test_supervisor_at_work_is_spared(tmp_path: Path, unused_tcp_port: int):
    """Whatever it is called; it would start its program again."""
    command = ("server", "--registry=ghr://acme/shop")
    with holding(unused_tcp_port, tmp_path, *command):
        assert ({}, []) == left_at(unused_tcp_port, tmp_path)


def test_port_shared_with_a_foreign_process_is_spared(tmp_path: Path):
    """Ending one of the two would not free it."""
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as shared:
            port = shared.getsockname()[1]
            for cwd in (tmp_path, Path("/")):
                stack.enter_context(idle(cwd, shared.fileno()))
        assert 2 == len(holders(port))
        assert ({}, []) == left_at(port, tmp_path)


def test_program_of_somebody_else_is_named_and_spared(
    tmp_path: Path, unused_tcp_port: int
):
    root = tmp_path / "root"
    root.mkdir()
    with holding(unused_tcp_port, tmp_path) as other:
        with pytest.raises(DewyError, match=rf"in use by .*pid {other.pid}"):
            opened(unused_tcp_port, root, patience=0.2)

        assert other.poll() is None


@pytest.mark.parametrize(
    ("executable", "words", "cwd", "expected"),
    [
        ("{root}/releases/1/app", [], "/", True),
        ("/usr/bin/python3", ["python3", "current/app.py"], "{root}", True),
        ("/usr/bin/python3", ["python3", "{root}/current/app.py"], "/", True),
        ("/usr/bin/python3", ["python3", "app.py"], "{root}/current", True),
        ("/usr/bin/python3", ["python3", "/srv/app.py"], "/srv", False),
        ("{root}-other/app", [], "/", False),
    ],
)
def test_process_belongs_to_the_root_its_paths_are_in(
    tmp_path: Path, executable: str, words: list[str], cwd: str, expected: bool
):
    (tmp_path / "current").mkdir()
    at = [text.format(root=tmp_path) for text in (executable, cwd, *words)]

    assert expected == lies_below(tmp_path, at[0], at[2:], at[1])


def test_nothing_belongs_to_the_root_directory_of_the_host():
    assert not lies_below(Path("/"), sys.executable, [], os.getcwd())


async def test_process_that_cannot_be_killed_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A mount that hangs keeps it alive; dewy starts all the same."""
    sent = []
    monkeypatch.setattr("dewy.supervisor.orphans.start_time", lambda pid: 7)
    monkeypatch.setattr("os.kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr("dewy.supervisor.orphans.DYING", 0.1)
    async with asyncio.timeout(20):
        await end_in_order({2**22 - 1: 7}, 0.1)

    assert [(2**22 - 1, signal.SIGTERM), (2**22 - 1, signal.SIGKILL)] == sent
    assert "Left processes that cannot be killed" in caplog.messages
