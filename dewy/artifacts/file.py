"""Artifacts on this host: `file:///PATH`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult

from ..errors import Missing, RemoteError
from ..ioprocess import reading
from ..ioprocess.process import IOPool, IOProcess
from ..release import Release
from ..remotes import Clients, local
from ..remotes.partial_file import PartialFile
from . import Progress


class FileArtifacts:
    """The file that a `file://` URL names, and the files beside it."""

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        self.path = local.path(url).absolute()
        self._clients = clients

    def __repr__(self) -> str:
        return f"<FileArtifacts {self.path}>"

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        identity = release.identity if release.identity.startswith("file:") else ""
        with local.translated(f"read {self.path}"):
            disk, done = await self._disk(), 0
            found = await disk.call(reading.look, self.path, identity)
            async with PartialFile(into) as draft:

                async def write(piece: bytes) -> None:
                    nonlocal done
                    await draft.write(piece)
                    done += len(piece)
                    progress(done, found.st_size)

                await disk.stream(write, reading.pieces, self.path, found)

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        if "/" in name or name == "..":
            raise RemoteError(f"{name!r} is not the name of a file beside {self.path}")
        path = self.path.with_name(name)
        with local.translated(f"read {path}"):
            try:
                return await (await self._disk()).call(reading.content, path, limit)
            except FileNotFoundError:
                raise Missing(f"{path} is not there") from None

    async def _disk(self) -> IOProcess:
        pool = await self._clients.get("ioprocesses of artifacts", IOPool)
        return await pool.get(self.path.parent)
