"""Artifacts that are files of this machine."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult

from ..errors import RemoteError
from ..release import Release
from ..remotes import Clients, local
from ..remotes.partial_file import PartialFile
from . import Progress

PIECE = 1 << 20
"""Bytes copied at a time, and so what a copy keeps in memory."""


class FileArtifacts:
    """Copies the file that a `file://` URL names."""

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        self.path = local.path(url)

    def __repr__(self) -> str:
        return f"<FileArtifacts {self.path}>"

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        size, identity = await asyncio.to_thread(_look, self.path)
        if release.identity.startswith("file:") and identity != release.identity:
            raise RemoteError(f"{self.path} was replaced after it was chosen")
        done = 0
        async with PartialFile(into) as draft:
            while done < size:
                piece = await asyncio.to_thread(_piece, self.path, done, identity)
                await draft.write(piece)
                done += len(piece)
                progress(done, size)

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        if "/" in name or name == "..":
            raise RemoteError(f"{name!r} is no name of a file beside {self.path}")
        return await asyncio.to_thread(_whole, self.path.with_name(name), limit)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    with local.translated(f"read {path}"):
        # Without O_NONBLOCK a named pipe would keep us until somebody writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise RemoteError(f"{path} is not a regular file")
            yield descriptor
        finally:
            os.close(descriptor)


def _look(path: Path) -> tuple[int, str]:
    with _opened(path) as descriptor:
        found = os.fstat(descriptor)
    return found.st_size, local.identity(found)


def _piece(path: Path, offset: int, identity: str) -> bytes:
    # Opened anew for each piece: nothing stays open when a copy is cancelled,
    # and a file that was replaced meanwhile is found out.
    with _opened(path) as descriptor:
        piece = os.pread(descriptor, PIECE, offset)
        unchanged = local.identity(os.fstat(descriptor)) == identity
    if not (piece and unchanged):
        raise RemoteError(f"{path} changed while it was copied")
    return piece


def _whole(path: Path, limit: int) -> bytes:
    with _opened(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise RemoteError(f"{path} is larger than {limit} bytes")
    return content
