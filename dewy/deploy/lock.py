"""One dewy per root: an advisory lock on `.dewy/lock`, gone with its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RootBusy
from ..system import start_time

NAME = "lock"


@contextmanager
def lock(private: Path) -> Iterator[None]:
    """
    Hold the lock of the root that *private* is in; creates *private*, mode 0700.

    The file tells the holder's pid and start time. It is never removed: whoever
    waits for a removed file waits for nobody.

    Raises:
        RootBusy: another dewy holds it.
        OSError: the directory or the file cannot be written.
    """
    _make_private(private)
    descriptor = os.open(
        private / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RootBusy(_busy(descriptor, private.parent)) from None
        with suppress(OSError):  # for people; a full disk keeps nobody from starting
            os.ftruncate(descriptor, 0)
            holder = f"{os.getpid()} {start_time(os.getpid())}\n"
            os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _make_private(private: Path) -> None:
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_mode & 0o077:
        private.chmod(0o700)


def _busy(descriptor: int, root: Path) -> str:
    pid = os.pread(descriptor, 64, 0).decode(errors="replace").partition(" ")[0]
    holder = f"dewy with pid {pid}" if pid.isdigit() else "another dewy"
    return f"{holder} works in {root}; one root has one dewy"
