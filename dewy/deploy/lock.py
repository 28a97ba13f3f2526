"""
The lock that allows a root one dewy: `.dewy/lock`, advisory, gone with its holder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import RootBusy
from ..system import start_time

NAME = "lock"

STARTING = "starting"
STOPPING = "stopping"
UNREACHABLE = "unreachable"
"""Phases in which the holder answers no command, the last of them for good."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Living process that the file of a lock names, and its phase, or ""."""

    pid: int
    phase: str


class RootLock:
    """
    The lock of one root, held from `take` to `release`.

    Attributes:
        private: The root's `.dewy`.
    """

    def __init__(self, private: Path, name: str = NAME, phase: str = "") -> None:
        self.private = private
        self._name = name
        self._phase = phase
        self._descriptor = -1

    def take(self) -> None:
        """
        Raises:
            RootBusy: another dewy holds the lock.
            OSError: the directory or the file cannot be written.
        """
        _make_private(self.private)
        self._descriptor = _locked(self.private, self._name)
        self.tell(self._phase)

    def tell(self, phase: str) -> None:
        """Write the holder and its *phase* down, for those who find it locked."""
        self._phase = phase
        holder = f"{os.getpid()} {start_time(os.getpid())} {phase}".rstrip()
        with suppress(OSError):  # a full disk keeps nobody from starting
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{holder}\n".encode(), 0)

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
        with suppress(OSError):  # the holder may live on for a while
            os.ftruncate(self._descriptor, 0)
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
def lock(private: Path, name: str = NAME, phase: str = "") -> Iterator[RootLock]:
    """
    Hold the lock of the root that *private* is in; creates *private*, mode 0700.

    The file tells the holder's pid, start time and *phase*. It is never removed:
    whoever waits for a removed file waits for nobody. By another *name* there is a
    second one, for what may run beside that dewy.

    Raises:
        RootBusy: another dewy holds the lock.
        OSError: the directory or the file cannot be written.
    """
    held = RootLock(private, name, phase)
    held.take()
    try:
        yield held
    finally:
        held.release()


def holder(private: Path, name: str = NAME) -> Holder | None:
    """
    Return who holds the lock, as far as its file tells.

    The lock itself is not tried, which would be in the way of a dewy that starts.
    """
    try:
        pid, began, *phase = (private / name).read_text().split()
        if began == str(start_time(int(pid))):
            return Holder(int(pid), "".join(phase))
    except (OSError, ValueError):
        pass
    return None


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
    return descriptor


def _make_private(private: Path) -> None:
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_mode & 0o077:
        private.chmod(0o700)


def _busy(descriptor: int, root: Path) -> str:
    pid = os.pread(descriptor, 64, 0).decode(errors="replace").partition(" ")[0]
    holder = f"dewy with pid {pid}" if pid.isdigit() else "another dewy"
    return f"{holder} works in {root}; one root has one dewy"
