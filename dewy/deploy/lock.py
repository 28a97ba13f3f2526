"""
The lock that allows a root one dewy: `.dewy/lock`, advisory, gone with its holder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RootBusy
from ..system import start_time

NAME = "lock"


class RootLock:
    """
    The lock of one root, held from `take` to `release`.

    Attributes:
        private: The root's `.dewy`.
    """

    def __init__(self, private: Path, name: str = NAME) -> None:
        self.private = private
        self._name = name
        self._descriptor = -1

    def take(self) -> None:
        """
        Raises:
            RootBusy: another dewy holds the lock.
            OSError: the directory or the file cannot be written.
        """
        _make_private(self.private)
        self._descriptor = _locked(self.private, self._name)

    def restore(self) -> bool:
        """
        Hold it again if somebody removed it or its directory; whether that was so.

        Raises:
            RootBusy: another dewy took the lock meanwhile.
            OSError: the directory or the file cannot be written.
        """
        if self._is_there():
            return False
        old = self._descriptor
        self.take()
        os.close(old)
        return True

    def release(self) -> None:
        os.close(self._descriptor)

    def _is_there(self) -> bool:
        try:
            found = (self.private / self._name).stat(follow_symlinks=False)
            mode = self.private.stat().st_mode
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        same = (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
        return same and not mode & 0o077


@contextmanager
def lock(private: Path, name: str = NAME) -> Iterator[RootLock]:
    """
    Hold the lock of the root that *private* is in; creates *private*, mode 0700.

    The file tells the holder's pid and start time. It is never removed: whoever
    waits for a removed file waits for nobody. By another *name* there is a second one,
    for what may run beside that dewy.

    Raises:
        RootBusy: another dewy holds the lock.
        OSError: the directory or the file cannot be written.
    """
    held = RootLock(private, name)
    held.take()
    try:
        yield held
    finally:
        held.release()


def _locked(private: Path, name: str) -> int:
    descriptor = os.open(
        private / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        busy = _busy(descriptor, private.parent)
        os.close(descriptor)
        raise RootBusy(busy) from None
    except BaseException:
        os.close(descriptor)
        raise
    with suppress(OSError):  # for people; a full disk keeps nobody from starting
        os.ftruncate(descriptor, 0)
        holder = f"{os.getpid()} {start_time(os.getpid())}\n"
        os.pwrite(descriptor, holder.encode(), 0)
    return descriptor


def _make_private(private: Path) -> None:
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_mode & 0o077:
        private.chmod(0o700)


def _busy(descriptor: int, root: Path) -> str:
    pid = os.pread(descriptor, 64, 0).decode(errors="replace").partition(" ")[0]
    holder = f"dewy with pid {pid}" if pid.isdigit() else "another dewy"
    return f"{holder} works in {root}; one root has one dewy"
