"""Values in a cache's directory; everything here blocks and is called by a helper."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import disk
from .eviction import make_room

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True, slots=True)
class Room:
    """
    The place for a value, and what may be evicted for it.

    Attributes:
        root: The cache's directory.

        limit: Bytes that all values may take.

        retained: Keys that are not evicted.
    """

    root: Path
    key: str
    limit: int
    retained: frozenset[str]


def get(path: Path) -> bytes | None:
    """Return the small value at *path*, if there is one."""
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
    found = (folder + slash + name for name in disk.names(root / folder))
    return sorted(key for key in found if key.startswith(prefix))


def put(room: Room, path: Path, value: bytes) -> list[str] | None:
    """Write a small value; return as `_install` does."""

    def fill(draft: Path) -> None:
        with disk.creating(draft) as file:
            file.write(value)

    return _install(room, path, len(value), fill)


def store(room: Room, path: Path, source: Path) -> list[str] | None:
    """Keep a copy of the file *source*; return as `_install` does."""
    size = source.stat().st_size
    return _install(room, path, size, lambda draft: disk.link_or_copy(source, draft))


def load(path: Path, into: Path) -> bool:
    """Bring the file at *path* to *into*; False if there is none."""
    try:
        present = path.stat()
    except _ABSENT:
        return False
    if not stat.S_ISREG(present.st_mode):
        return False
    _touch(path)
    disk.link_or_copy(path, into)
    return True


def _install(
    room: Room, path: Path, size: int, fill: Callable[[Path], None]
) -> list[str] | None:
    """Return the keys that were evicted for it; None if it does not fit."""
    # Counted anew each time: other dewys may write here too.
    held, drafts = disk.survey(room.root)
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
    disk.install(path, fill)
    return [value.key for value in evicted]


def _touch(path: Path) -> None:
    # The order of eviction; a cache that can't be written is still of use.
    with suppress(OSError):
        os.utime(path)
