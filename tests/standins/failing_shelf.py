"""What looks at the files of a cache, on a disk that takes no more of them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from dewy.caches import disk
from dewy.caches.disk import Room


def full(room: Room, path: Path, source: Path) -> list[str] | None:
    """Store *source* where no space is left; called in the helper process."""
    return _failing(errno.ENOSPC, room, path, source)


def read_only(room: Room, path: Path, source: Path) -> list[str] | None:
    """Store *source* where nothing can be written; called in the helper process."""
    return _failing(errno.EROFS, room, path, source)


def _failing(number: int, room: Room, path: Path, source: Path) -> list[str] | None:
    def fail(path: Path, *given: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    # The process is that of one cache, and ends with it.
    disk.install = fail
    return disk.store(room, path, source)
