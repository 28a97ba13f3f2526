"""Writing small files so that they are seen whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
SPARE_SIZE, CHUNK = 64 * 1024, 4096


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """
    Replace *path* by *content*: temporary file, fsync, rename, fsync of the directory.

    Two writers of one path have to keep apart by themselves.

    Raises:
        OSError: the file could not be written; the old content is untouched.
    """
    # Always the same name, so that what a killed writer left is written over.
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with open(
            os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), "wb"
        ) as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        draft.rename(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    sync_directory(path.parent)


def expanded(text: str) -> Path:
    """Return *text* as an absolute path, with `~` expanded; touch no file."""
    path = Path(os.path.expanduser(text))
    # Not the working directory's, for a user without a home directory.
    return Path("/", path) if path.parts[:1] == ("~",) else path.absolute()


def sync_directory(directory: Path) -> None:
    """Make renames in *directory* survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Spare:
    """
    A file at *path* whose inode and blocks are there for a full file system.

    It lies in the directory of the file that it replaces.
    """

    path: Path

    def keep(self) -> None:
        """Write what is missing of it, as far as there is room."""
        with suppress(OSError):
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
            descriptor = os.open(self.path, flags, 0o600)
            try:
                _fill(descriptor)
            finally:
                os.close(descriptor)

    def replace(self, path: Path, content: bytes) -> None:
        """
        Replace *path* by *content*, as `write_atomically` does.

        Raises:
            OSError: there is no spare, or *content* is larger than it; the old content
                is untouched.
        """
        descriptor = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW)
        with open(descriptor, "wb", buffering=0) as f:
            if os.pwrite(descriptor, content, 0) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Only what is over: blocks that are given back may be taken by others.
            f.truncate(len(content))
            os.fsync(descriptor)
        self.path.rename(path)
        sync_directory(path.parent)


def write_with_spare(path: Path, content: bytes, spare: Spare) -> None:
    """
    Replace *path* as `write_atomically` does, on a full file system by *spare*.

    Raises:
        OSError: the file could not be written; the old content is untouched.
    """
    try:
        write_atomically(path, content)
    except OSError as exc:
        if exc.errno not in FULL:
            raise
        try:
            spare.replace(path, content)
        except OSError:
            raise exc from None
    # What it has freed is taken at once, before others take it.
    spare.keep()


def _fill(descriptor: int) -> None:
    """Append blocks, none of them a hole, and keep those that fit."""
    missing = SPARE_SIZE - os.fstat(descriptor).st_size
    if missing <= 0:
        return
    try:
        while missing > 0:
            missing -= os.write(descriptor, b"\n" * min(CHUNK, missing))
    finally:
        os.fsync(descriptor)
