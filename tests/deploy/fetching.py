"""A host that fetches artifacts, for the tests of fetcher and shelf."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Self

from dewy.caches import CACHES, Cache
from dewy.deploy.fetch import Fetcher, scope
from dewy.deploy.signatures import Key
from dewy.errors import RemoteError
from dewy.registries import REGISTRIES
from dewy.release import Release
from dewy.remotes import Clients
from dewy.remotes.memory import MemoryStore
from dewy.versions import Platform, Selection

CONTENT = b"artifact" * 10_000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
FILE = "app.tar.gz"


class Host:
    """One host's fetcher, its cache, and the store it fetches from."""

    def __init__(self, tmp_path: Path) -> None:
        self.store = MemoryStore.named(uuid.uuid4().hex)
        self.url = f"mem://{self.store.name}?artifact={FILE}"
        self._stack = AsyncExitStack()
        self._clients = Clients()
        self.cache: Cache = self.opened(
            f"{(tmp_path / 'cache').as_uri()}?max-size=10MB", tmp_path
        )
        self.directory = tmp_path / "cache" / scope(self.url)
        self.staging = tmp_path / "staging"
        self.verify = "auto"
        self.keys: tuple[Key, ...] = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        async with self._clients:
            await self._stack.aclose()

    def opened(self, url: str, directory: Path) -> Cache:
        """A cache that is closed with the host."""
        cache = CACHES.open(url, directory)
        assert isinstance(cache, AbstractAsyncContextManager)
        self._stack.push_async_exit(cache)
        return cache

    @property
    def fetcher(self) -> Fetcher:
        """A new one each time, as after a restart."""
        return Fetcher(
            self.cache,
            self._clients,
            scope=scope(self.url),
            staging=self.staging,
            verify=self.verify,
            keys=self._trusted,
        )

    async def _trusted(self) -> Sequence[Key]:
        return self.keys

    async def current(self) -> Release:
        selection = Selection(platform=Platform("linux", "amd64"))
        return await REGISTRIES.open(self.url, selection, self._clients).current()

    async def fetch(self, release: Release) -> bytes:
        async with self.fetcher.staged(release) as path:
            return await asyncio.to_thread(path.read_bytes)

    def unplug(self) -> None:
        """From here on only the cache can help."""
        errors = [RemoteError("the store was asked")] * 9
        self.store.fail("fetch", *errors)
