"""
Lock that allows one dewy per root: `.dewy/lock`, advisory, released with its holder.
"""

from __future__ import annotations

import errno
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
        """Write the holder and its *phase* into the file."""
        self._phase = phase
        holder = f"{os.getpid()} {start_time(os.getpid())} {phase}".rstrip()
        with suppress(OSError):  # a full disk keeps nobody from starting
            self._write(f"{holder}\n".encode())

    def _write(self, text: bytes) -> None:
        # The descriptor of the lock is for reading alone if the file system was.
        path = f"/proc/self/fd/{self._descriptor}"
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, text, 0)
        finally:
            os.close(descriptor)

    def restore(self) -> bool:
        """
        Take the lock again if somebody removed it or its directory; return whether that
        was so.

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
            self._write(b"")
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

    The file tells the holder's pid, start time and *phase*. The file is never removed,
    since a waiter for a removed file would wait in vain. Another *name* makes a second
    lock, for a process that may run beside that dewy.

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

    The lock itself is not tried, since that could disturb a dewy that is starting.
    """
    try:
        pid, began, *phase = (private / name).read_text().split()
        if began == str(start_time(int(pid))):
            return Holder(int(pid), "".join(phase))
    except (OSError, ValueError):
        pass
    try:
        found = (private / name).stat(follow_symlinks=False)
        locker = _by_kernel(found)
    except OSError:
        return None
    # It could not write who it is: no socket of its own is there either.
    return Holder(locker, UNREACHABLE) if locker else None


def _by_kernel(found: os.stat_result) -> int:
    """Return the pid of whoever holds a lock on a file, by the kernel's list; or 0."""
    major, minor = os.major(found.st_dev), os.minor(found.st_dev)
    file = f"{major:02x}:{minor:02x}:{found.st_ino}"
    lines = Path("/proc/locks").read_text().splitlines()
    words = (line.split() for line in lines)
    return next((int(w[4]) for w in words if w[1] == "FLOCK" and w[5] == file), 0)


def _locked(private: Path, name: str) -> int:
    descriptor = _opened(private / name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RootBusy(_busy(private, name)) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _opened(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except OSError as exc:
        if exc.errno != errno.EROFS:
            raise
    # What is deployed may run from a file system that went read-only.
    return os.open(path, os.O_RDONLY | flags)


def _make_private(private: Path) -> None:
    private.mkdir(mode=0o700, exist_ok=True)
    if private.stat().st_mode & 0o077:
        private.chmod(0o700)


def _busy(private: Path, name: str) -> str:
    found = holder(private, name)
    who = f"dewy with pid {found.pid}" if found else "another dewy"
    return f"{who} works in {private.parent}; one root has one dewy"
