"""Writing small files so that they are seen whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


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


def sync_directory(directory: Path) -> None:
    """Make renames in *directory* survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
