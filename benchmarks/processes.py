"""Processes under measurement: started on free ports, watched through `/proc`."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"

# Below the range the kernel takes ports for outgoing connections from, so that no
# client can sit on a port between its choice and its use.
_PORTS = iter(range(20_000, 32_000))


def free_ports(count: int) -> list[int]:
    """Choose *count* TCP ports that nobody listens on; none is chosen twice."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
    return found


def program(name: str) -> str:
    """
    Where *name* is installed: servers are where users' paths do not lead.

    Raises RuntimeError if it is not.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(name, path=path)
    if found is None:
        raise RuntimeError(f"{name} is missing: dev/install-services installs it")
    return found


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files as they may."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    log: Path,
    environment: Mapping[str, str] = {},
    cwd: Path | None = None,
) -> Iterator[int]:
    """
    Run *command* until the block ends and yield its process id.

    The block begins when *port* accepts; what the process says goes to *log*.
    Raises RuntimeError with the end of the log if it ends before or takes 20 s.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            cwd=cwd,
            start_new_session=True,
        )
        try:
            _await_listener(process, port, log)
            yield process.pid
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_listener(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    last = log.read_text()[-2000:]
    raise RuntimeError(f"{log.stem} does not listen on port {port}:\n{last}")


def family(pid: int) -> list[int]:
    """*pid* and everything it started."""
    children = [
        int(child)
        for tasks in Path(f"/proc/{pid}/task").glob("*/children")
        for child in tasks.read_text().split()
    ]
    return [pid, *(member for child in children for member in family(child))]


def user_seconds(pid: int) -> float:
    """User time of *pid*, its threads and its children: the kernel's share left out."""
    ticks = sum(
        int(Path(f"/proc/{member}/stat").read_text().rpartition(") ")[2].split()[11])
        for member in family(pid)
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """
    User and system time of *pid*, its threads and its children.

    From the scheduler's own nanoseconds, not the ticks of `/proc/PID/stat`.
    """
    nanoseconds = sum(
        int(task.read_text().split()[0])
        for member in family(pid)
        for task in Path(f"/proc/{member}/task").glob("*/schedstat")
    )
    return nanoseconds / 1e9


def machine_seconds() -> float:
    """Return the processor time that the whole machine has used since it started."""
    spent = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _waiting, irq, softirq = map(int, spent[:7])
    busy = user + nice + system + irq + softirq
    return busy / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Resident memory of *pid* and its children, counted by page, not estimated."""
    return sum(_rollup(member) for member in family(pid))


def _rollup(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("Rss:"))
    return int(kibibytes) * 1024
