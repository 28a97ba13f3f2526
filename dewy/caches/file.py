"""
A cache in a directory: one file per key.

The directory may be shared with other dewys, and hold files of the original. So only
files below a scope, a directory named by 16 hexadecimal digits, count and are evicted.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import SplitResult

from .. import urls
from ..ioprocess.process import IOProcess
from ..remotes import local
from . import disk, segments
from .disk import Room

log = logging.getLogger(__name__)

T = TypeVar("T")


class FileCache:
    """
    A cache in the directory of `file:///PATH?max-size=2GiB`.

    Leaving its context returns even if the directory hangs. Nothing is created before
    the first value is written. Files are stored and loaded as hard links where that is
    possible: never write to a loaded one.
    """

    def __init__(self, url: SplitResult, default_directory: Path) -> None:
        chosen = urls.options(url, {"max-size": "2GiB", "registry-ttl": ""})
        named = url.netloc or url.path
        self.directory = local.path(url) if named else default_directory
        self._limit = urls.size("max-size", chosen["max-size"])
        self._retained: frozenset[str] = frozenset()
        self._refused: set[str] = set()
        self._root = self.directory.absolute()
        self._disk = IOProcess(self._root)
        if chosen["registry-ttl"]:
            log.warning("Ignored registry-ttl: a file cache serves one host only")

    def __repr__(self) -> str:
        return f"<FileCache {self.directory}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the helper process."""
        await self._disk.close()

    async def get(self, key: str) -> bytes | None:
        return await self._disk.call(disk.get, self._path(key))

    async def put(self, key: str, value: bytes) -> None:
        if not await self._fits(disk.put, key, value):
            raise OSError(errno.ENOSPC, "the cache is full", str(self.directory))

    async def delete(self, key: str) -> None:
        await self._disk.call(disk.delete, self._path(key))

    async def keys(self, prefix: str = "") -> list[str]:
        segments(prefix.rpartition("/")[0] or "any")
        return await self._disk.call(disk.keys, self._root, prefix)

    async def store(self, key: str, source: Path) -> bool:
        if await self._fits(disk.store, key, source):
            return True
        if key not in self._refused:
            self._refused.add(key)
            log.warning(
                "Not cached: larger than the cache",
                extra={"key": key, "limit": self._limit},
            )
        return False

    async def load(self, key: str, into: Path) -> bool:
        return await self._disk.call(disk.load, self._path(key), into)

    def retain(self, keys: Collection[str]) -> None:
        self._retained = frozenset(keys)

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*segments(key))

    async def _fits(
        self, write: Callable[[Room, Path, T], list[str] | None], key: str, value: T
    ) -> bool:
        room = Room(self._root, key, self._limit, self._retained)
        evicted = await self._disk.call(write, room, self._path(key), value)
        for each in evicted or ():
            log.debug("Evicted from the cache", extra={"key": each})
        return evicted is not None
