"""`dewy proxy` in a process of its own, with either relay."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.standins.plane import DEADLINE, LOOPBACK, listening, soon

RELAYS = ("compiled", "pure")


@dataclass
class Running:
    """A started proxy."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    def connect(self) -> socket.socket:
        """A client of it."""
        return socket.create_connection((LOOPBACK, self.port), DEADLINE)

    def cpu(self) -> float:
        """Seconds of processor time that it has taken."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        ticks = stat.rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def require(relay: str) -> None:
    """Skip the running test if there is no such relay here."""
    if relay == "compiled" and not os.environ.get("DEWY_REQUIRE_EXTENSIONS"):
        pytest.importorskip("dewy._speedups.relay_c")


@contextmanager
def running(
    relay: str, backend: int | None, directory: Path, *options: str, limit: int = 4096
) -> Iterator[Running]:
    """A proxy before port *backend*, if any, with at most *limit* descriptors."""
    with listening() as listener:
        port = listener.getsockname()[1]
    command = [
        *("prlimit", f"--nofile={limit}:{limit}", sys.executable, "-m", "dewy"),
        *("proxy", "--listen", f"{LOOPBACK}:{port}"),
        *(("--backend", f"{LOOPBACK}:{backend}") if backend else ()),
        *options,
    ]
    foreign = {name for name in os.environ if name.startswith("DEWY_")} - {"DEWY_LOOP"}
    environ = {k: v for k, v in os.environ.items() if k not in foreign}
    if relay == "pure":
        environ["DEWY_NO_EXTENSIONS"] = "1"
    log = directory / "proxy.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command,
            env=environ,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            soon(lambda: "Proxy started" in log.read_text() or process.poll())
            yield Running(process, port, log)
        finally:
            process.kill()
