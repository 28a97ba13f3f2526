"""
A directory that hangs: a FUSE file system whose server takes requests for good.

Whatever touches it sleeps until the connection is aborted, and no signal ends that.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HEADER = struct.Struct("=IIQQIIII")
ANSWER = struct.Struct("=IiQ")
INITIALISED = struct.Struct("=IIIIHHII8I")
MNT_FORCE, MNT_DETACH = 1, 2
PATIENCE_MS = 50

libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung(directory: Path) -> Iterator[None]:
    """Have *directory* hang for as long as this is entered."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
    over = threading.Event()
    server = threading.Thread(target=_swallow, args=(device, over), daemon=True)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
        _call(libc.mount, b"hung", os.fsencode(directory), b"fuse", 0, options.encode())
        try:
            server.start()
            yield
        finally:
            # Forced: it aborts the connection, and all requests fail at once.
            _call(libc.umount2, os.fsencode(directory), MNT_FORCE | MNT_DETACH)
    finally:
        over.set()
        if server.ident:
            server.join(10)
        os.close(device)


def usable() -> bool:
    """Whether this machine lets us mount one."""
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and os.geteuid() == 0


def _call(function: ctypes._NamedFuncPointer, *arguments: object) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _swallow(device: int, over: threading.Event) -> None:
    """Answer the greeting, and nothing else."""
    requests = select.poll()
    requests.register(device, select.POLLIN)
    with suppress(OSError):  # ENODEV: unmounted
        while not over.is_set():
            if requests.poll(PATIENCE_MS):
                with suppress(BlockingIOError):
                    _greet(device, os.read(device, 1 << 20))


def _greet(device: int, request: bytes) -> None:
    _, opcode, unique, *_ = HEADER.unpack_from(request)
    if opcode == 26:
        body = INITIALISED.pack(7, 31, 0, 0, 12, 9, 1 << 16, 1, *[0] * 8)
        os.write(device, ANSWER.pack(ANSWER.size + len(body), 0, unique) + body)
