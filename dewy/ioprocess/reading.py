"""Looks at directories and files; everything here blocks: helper processes call it."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RemoteError

PIECE = 1 << 20
"""Bytes read at a time, and so what a copy keeps in memory."""


def directories(directory: Path) -> list[str]:
    """Return the names of the visible directories in *directory*, sorted."""
    with os.scandir(directory) as entries:
        return sorted(e.name for e in entries if e.name[0] != "." and _holds(e.is_dir))


def files(directory: Path) -> list[str]:
    """Return the names of the visible files in *directory*, sorted."""
    with os.scandir(directory) as entries:
        return sorted(e.name for e in entries if e.name[0] != "." and _holds(e.is_file))


def _holds(kind: Callable[[], bool]) -> bool:
    # A link in a circle, or into what may not be read, hides nothing beside it.
    try:
        return kind()
    except OSError:
        return False


def status(path: Path) -> os.stat_result:
    """Return the stat of *path*, links followed."""
    return path.stat()


def holds_certificates(path: Path) -> bool:
    """Return whether *path* holds certificates in PEM form."""
    with path.open("rb"):
        pass  # An error of the file system is told as such.
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


def look(path: Path, identity: str = "") -> os.stat_result:
    """
    Return the stat of the regular file *path*.

    Raises:
        RemoteError: *identity* is of another file, or of other content.
    """
    with opened(path) as descriptor:
        found = os.fstat(descriptor)
    if identity and identity_of(found) != identity:
        raise RemoteError(f"{path} was replaced after it was chosen")
    return found


def pieces(path: Path, found: os.stat_result) -> Generator[bytes, None, None]:
    """
    Yield the content of the file that had the stat *found*.

    Raises:
        RemoteError: the file changed since or meanwhile.
    """
    offset, identity = 0, identity_of(found)
    while offset < found.st_size:
        piece = piece_at(path, offset, identity)
        yield piece
        offset += len(piece)


def piece_at(path: Path, offset: int, identity: str) -> bytes:
    """Return a piece of the file that *identity* names; raises as `pieces` does."""
    # Opened anew for each piece: a file that was replaced meanwhile is found out.
    with opened(path) as descriptor:
        piece = os.pread(descriptor, PIECE, offset)
        unchanged = identity_of(os.fstat(descriptor)) == identity
    if not (piece and unchanged):
        raise RemoteError(f"{path} changed while it was copied")
    return piece


def content(path: Path, limit: int) -> bytes:
    """
    Return the whole of a small regular file.

    Raises:
        RemoteError: the file is larger than *limit* bytes.
    """
    with opened(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise RemoteError(f"{path} is larger than {limit} bytes")
    return found


def touch(path: Path) -> None:
    """Open *path*, whatever comes of it: the file system is to answer."""
    with suppress(OSError, RemoteError), opened(path) as descriptor:
        os.read(descriptor, 1)


def identity_of(found: os.stat_result) -> str:
    """
    Tell one content of a file from another without reading it.

    The inode is part of it because a file that is replaced by another of the
    same size may keep its time.
    """
    return f"file:{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """
    Open a regular file.

    Raises:
        RemoteError: *path* is not a regular file.
    """
    # Without O_NONBLOCK a named pipe would keep us until somebody writes.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RemoteError(f"{path} is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)
