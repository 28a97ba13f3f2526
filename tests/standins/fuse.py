"""
A directory that hangs: a FUSE file system whose server takes requests for good.

Whatever touches it sleeps until the connection is aborted, and no signal ends that.
The server is a process of its own, and lives for two minutes at most: a test that
touches the directory itself fails then, instead of staying for ever.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HEADER = struct.Struct("=IIQQIIII")
ANSWER = struct.Struct("=IiQ")
INITIALISED = struct.Struct("=IIIIHHII8I")
INIT = 26
MNT_DETACH = 2
AT_MOST = 120.0

libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung(directory: Path) -> Iterator[None]:
    """Have *directory* hang for as long as this is entered."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        _call(libc.mount, b"hung", os.fsencode(directory), b"fuse", 0, options)
        server = _serve(device)
    finally:
        os.close(device)
    try:
        yield
    finally:
        # The connection is aborted with the last descriptor: all requests fail.
        server.kill()
        server.wait()
        _call(libc.umount2, os.fsencode(directory), MNT_DETACH)


def usable() -> bool:
    """Whether this machine lets us mount one."""
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and os.geteuid() == 0


def hung_threads(pid: int | str = "self") -> list[str]:
    """
    The threads of a process that wait for the answer of a FUSE file system.

    Their state does not tell: before a first signal it is that of any sleep.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [each.name for each in tasks if "fuse_" in (each / "stack").read_text()]
    return []  # It has ended.


def _call(function: Any, *arguments: object) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _serve(device: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", __file__, str(device)]
    return subprocess.Popen(command, pass_fds=[device], start_new_session=True)


def _swallow(device: int) -> None:
    """Answer the greeting, and nothing else."""
    end = time.monotonic() + AT_MOST
    requests = select.poll()
    requests.register(device, select.POLLIN)
    with suppress(OSError):  # ENODEV: unmounted
        while time.monotonic() < end:
            if requests.poll(1000):
                _greet(device, os.read(device, 1 << 20))


def _greet(device: int, request: bytes) -> None:
    _, opcode, unique, *_ = HEADER.unpack_from(request)
    if opcode == INIT:
        body = INITIALISED.pack(7, 31, 0, 0, 12, 9, 1 << 16, 1, *[0] * 8)
        os.write(device, ANSWER.pack(ANSWER.size + len(body), 0, unique) + body)


if __name__ == "__main__":
    _swallow(int(sys.argv[1]))
