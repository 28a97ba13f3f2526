"""Artifacts in this process's memory."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, unquote

from ..errors import ConfigError, RemoteError
from ..release import Release
from ..remotes import Clients
from ..remotes.memory import MemoryStore
from ..remotes.partial_file import PartialFile
from . import Progress

PIECE = 1 << 16


class MemoryArtifacts:
    """Artifacts `mem://NAME/TAG/FILE` in the `MemoryStore` of that name."""

    def __init__(self, url: SplitResult, clients: Clients) -> None:
        names = url.path.split("/")[1:]
        if len(names) != 2 or not all(names):
            raise ConfigError("an artifact in memory is mem://NAME/TAG/FILE")
        self.store = MemoryStore.named(url.netloc)
        self._tag, self._file = map(unquote, names)

    def __repr__(self) -> str:
        return f"<MemoryArtifacts mem://{self.store.name}>"

    async def fetch(self, release: Release, into: Path, progress: Progress) -> None:
        content = self.store.content(self._tag, self._file)
        async with PartialFile(into) as draft:
            for start in range(0, len(content), PIECE):
                piece = content[start : start + PIECE]
                await draft.write(piece)
                progress(start + len(piece), len(content))
            # Last, so that an error injected here breaks off a transfer.
            self.store.attempt("fetch")

    async def read(self, release: Release, name: str, limit: int) -> bytes:
        self.store.attempt("read")
        content = self.store.content(self._tag, name)
        if len(content) > limit:
            raise RemoteError(f"{name} is larger than {limit} bytes")
        return content
