"""Files of a cache in a directory; all functions block, and run in a helper process."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..files import sync_directory
from ..ioprocess.protocol import alive
from . import CacheEntry, make_room

ABANDONED = 3600.0
"""Seconds after which an unfinished file counts as abandoned."""

SCOPE = re.compile(r"[0-9a-f]{16}")
"""The first segment of the keys that count towards the limit, and may be evicted."""

PIECE = 1 << 20
PIECES_AT_ONCE = 64


def install(path: Path, fill: Callable[[Path], object]) -> None:
    """
    Let *fill* write a file, and rename it to *path* once it is durable.

    Raises:
        OSError: the file could not be written; what was at *path* is untouched.
    """
    make_directories(path.parent)
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        fill(draft)
        os.utime(draft)
        _sync(draft)
        draft.rename(path)
    finally:
        # After success, too: a rename between two links to the same file keeps both.
        with suppress(OSError):
            draft.unlink()
    sync_directory(path.parent)


def make_directories(directory: Path) -> None:
    """Create *directory* and its missing parents, for this user alone."""
    missing = []
    while not directory.is_dir():
        missing.append(directory)
        directory = directory.parent
    for each in reversed(missing):
        each.mkdir(0o700, exist_ok=True)


@contextmanager
def creating(target: Path) -> Iterator[BinaryIO]:
    """
    Create *target*, which must not exist; it is deleted after a failure.

    Raises:
        OSError: *target* could not be created.
    """
    with create(target) as file:
        try:
            yield file
            file.flush()
        except BaseException:
            target.unlink()
            raise


def create(target: Path) -> BinaryIO:
    """
    Create *target*, which must not exist, for writing by this user alone.

    Raises:
        OSError: *target* could not be created.
    """
    return open(target, "xb", opener=_private)


def copy(source: Path, target: Path) -> None:
    """Copy *source* to *target*, which must not exist."""
    with open(source, "rb") as original, creating(target) as file:
        for number, piece in enumerate(iter(lambda: original.read(PIECE), b""), 1):
            file.write(piece)
            if number % PIECES_AT_ONCE == 0:
                # Otherwise a single long fsync at the end would write everything.
                file.flush()
                os.fdatasync(file.fileno())
            alive()


def link_or_copy(source: Path, target: Path) -> None:
    """
    Make *target*, which must not exist, another name of *source* or else a copy.

    Raises:
        OSError: *source* could be neither linked nor copied; *target* does not exist.
    """
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        # Another filesystem, one without links, one link too many…
        copy(source, target)


def survey(root: Path) -> tuple[list[CacheEntry], int]:
    """
    Return the files in the scopes below *root*, and the bytes of unfinished ones.

    Abandoned files are deleted.
    """
    held, drafts = [], 0
    for path, found in _files_in_scopes(root):
        if not path.name.startswith("."):
            key = path.relative_to(root).as_posix()
            held.append(CacheEntry(key, found.st_size, found.st_mtime))
        elif abs(time.time() - found.st_mtime) > ABANDONED:
            path.unlink(missing_ok=True)
        else:
            drafts += found.st_size
    return held, drafts


def names(root: Path) -> Iterator[str]:
    """Yield the relative paths of all files below *root*, except for hidden ones."""
    for directory, inner, files in os.walk(root):
        alive()
        inner[:] = [name for name in inner if not name.startswith(".")]
        below = Path(directory).relative_to(root)
        for name in files:
            if not name.startswith("."):
                yield (below / name).as_posix()


def _files_in_scopes(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with suppress(FileNotFoundError):
        for scope in filter(SCOPE.fullmatch, os.listdir(root)):
            for directory, _, files in os.walk(root / scope):
                alive()
                for name in files:
                    # Another dewy may have evicted it since it was listed.
                    with suppress(FileNotFoundError):
                        path = Path(directory, name)
                        yield path, path.lstat()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True, slots=True)
class Room:
    """
    The limits for writing a value.

    Attributes:
        root: The cache's directory.

        key: The key of the value.

        limit: Maximum size of all values in bytes.

        retained: Keys that are not evicted.
    """

    root: Path
    key: str
    limit: int
    retained: frozenset[str]


def get(path: Path) -> bytes | None:
    """Return the small value at *path*; None if there is none."""
    try:
        value = path.read_bytes()
    except _ABSENT:
        return None
    _touch(path)
    return value


def delete(path: Path) -> None:
    """Delete the value at *path*, if there is one."""
    with suppress(*_ABSENT):
        path.unlink()


def keys(root: Path, prefix: str) -> list[str]:
    """Return the keys in *root* that start with *prefix*, sorted."""
    folder, slash, _ = prefix.rpartition("/")
    found = (folder + slash + name for name in names(root / folder))
    return sorted(key for key in found if key.startswith(prefix))


def put(room: Room, path: Path, value: bytes) -> list[str] | None:
    """Write a small value; return the keys evicted, or None if it does not fit."""

    def fill(draft: Path) -> None:
        with creating(draft) as file:
            file.write(value)

    return _evict_and_install(room, path, len(value), fill)


def store(room: Room, path: Path, source: Path) -> list[str] | None:
    """Keep a copy of *source*; return the keys evicted, or None if it does not fit."""
    size = source.stat().st_size
    return _evict_and_install(
        room, path, size, lambda draft: link_or_copy(source, draft)
    )


def load(path: Path, into: Path) -> bool:
    """Copy the file at *path* to *into*; False if there is none."""
    try:
        present = path.stat()
    except _ABSENT:
        return False
    if not stat.S_ISREG(present.st_mode):
        return False
    _touch(path)
    link_or_copy(path, into)
    return True


def _evict_and_install(
    room: Room, path: Path, size: int, fill: Callable[[Path], None]
) -> list[str] | None:
    # Counted each time: other dewys may write here, too.
    held, drafts = survey(room.root)
    evicted = make_room(
        (value for value in held if value.key != room.key),
        size=size + drafts,
        limit=room.limit,
        retained=room.retained,
    )
    if evicted is None:
        return None
    for value in evicted:
        delete(room.root / value.key)
    install(path, fill)
    return [value.key for value in evicted]


def _touch(path: Path) -> None:
    # For the order of eviction; a read-only cache is still useful.
    with suppress(OSError):
        os.utime(path)
