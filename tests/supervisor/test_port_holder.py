"""What holds a port, and whether it is ours to end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dewy.config import Address
from dewy.errors import DewyError
from dewy.supervisor.port_holder import lies_below
from dewy.supervisor.sockets import open_listeners

HOLDS = """
import signal, socket, sys
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
signal.pause()
"""


@contextmanager
def holding(port: int, cwd: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with working directory *cwd* that listens on *port*."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", HOLDS, str(port), *words],
        cwd=cwd,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def opened(port: int, root: Path, stop_timeout: float = 20) -> None:
    """Open *port* as a dewy of *root* does that starts, without much patience."""

    async def main() -> None:
        address = Address(f"127.0.0.1:{port}", "127.0.0.1", port)
        with await open_listeners([address], [], 0.2, root, stop_timeout):
            pass

    asyncio.run(main())


@pytest.mark.parametrize("words", [(), ("deaf",)], ids=["ends", "deaf"])
def test_program_left_in_the_root_makes_way(
    tmp_path: Path, unused_tcp_port: int, words: tuple[str, ...], caplog
):
    with holding(unused_tcp_port, tmp_path, *words) as left:
        opened(unused_tcp_port, tmp_path, stop_timeout=0.3 if words else 20)

        assert (-9 if words else -15) == left.poll()
    assert any("earlier dewy left" in message for message in caplog.messages)


def test_program_of_somebody_else_is_named_and_spared(
    tmp_path: Path, unused_tcp_port: int
):
    root = tmp_path / "root"
    root.mkdir()
    with holding(unused_tcp_port, tmp_path) as other:
        with pytest.raises(DewyError, match=rf"in use by .*pid {other.pid}"):
            opened(unused_tcp_port, root)

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
