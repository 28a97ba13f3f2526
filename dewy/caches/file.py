"""
A cache in a directory: one file per key.

The directory may be shared with other dewys, and with what the original left in
it. So only what lies below a scope, a directory named by 16 hexadecimal digits,
is counted; and nothing else is ever evicted.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import stat
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from urllib.parse import SplitResult

from .. import urls
from ..remotes import local
from . import disk
from .eviction import make_room, segments

log = logging.getLogger(__name__)

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FileCache:
    """
    Keeps values in the directory of `file:///PATH?max-size=2GiB`.

    Nothing is created before the first value is written. Files come and go as
    hard links where that is possible, so whoever loads one must not write to it.
    """

    def __init__(self, url: SplitResult, default_directory: Path) -> None:
        chosen = urls.options(url, {"max-size": "2GiB", "registry-ttl": ""})
        named = url.netloc or url.path
        self.directory = local.path(url) if named else default_directory
        self._limit = urls.size("max-size", chosen["max-size"])
        self._retained: frozenset[str] = frozenset()
        self._refused: set[str] = set()
        self._writing = threading.Lock()
        if chosen["registry-ttl"]:
            log.warning("Ignored registry-ttl: a file cache serves one host only")

    def __repr__(self) -> str:
        return f"<FileCache {self.directory}>"

    async def get(self, key: str) -> bytes | None:
        return await asyncio.to_thread(self._get, self._path(key))

    async def put(self, key: str, value: bytes) -> None:
        def fill(draft: Path) -> None:
            with disk.creating(draft) as file:
                file.write(value)

        if not await asyncio.to_thread(self._install, key, len(value), fill):
            raise OSError(errno.ENOSPC, "the cache is full", str(self.directory))

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, self._path(key))

    async def keys(self, prefix: str = "") -> list[str]:
        return await asyncio.to_thread(self._keys, prefix)

    async def store(self, key: str, source: Path) -> bool:
        return await asyncio.to_thread(self._store, key, source)

    async def load(self, key: str, into: Path) -> bool:
        return await asyncio.to_thread(self._load, self._path(key), into)

    def retain(self, keys: Collection[str]) -> None:
        self._retained = frozenset(keys)

    def _path(self, key: str) -> Path:
        return self.directory.joinpath(*segments(key))

    def _get(self, path: Path) -> bytes | None:
        try:
            value = path.read_bytes()
        except _ABSENT:
            return None
        _touch(path)
        return value

    def _delete(self, path: Path) -> None:
        with suppress(*_ABSENT):
            path.unlink()

    def _keys(self, prefix: str) -> list[str]:
        folder, slash, _ = prefix.rpartition("/")
        root = self._path(folder) if slash else self.directory
        found = (folder + slash + name for name in disk.names(root))
        return sorted(key for key in found if key.startswith(prefix))

    def _store(self, key: str, source: Path) -> bool:
        size = source.stat().st_size
        if self._install(key, size, lambda draft: disk.link_or_copy(source, draft)):
            return True
        if key not in self._refused:
            self._refused.add(key)
            log.warning(
                "Left out of the cache, which is too small",
                extra={"key": key, "bytes": size, "limit": self._limit},
            )
        return False

    def _load(self, path: Path, into: Path) -> bool:
        try:
            present = path.stat()
        except _ABSENT:
            return False
        if not stat.S_ISREG(present.st_mode):
            return False
        _touch(path)
        disk.link_or_copy(path, into)
        return True

    def _install(self, key: str, size: int, fill: Callable[[Path], None]) -> bool:
        path = self._path(key)
        with self._writing:
            # Counted anew each time: other dewys may write here too.
            held, drafts = disk.survey(self.directory)
            evicted = make_room(
                (value for value in held if value.key != key),
                size=size + drafts,
                limit=self._limit,
                retained=self._retained,
            )
            for value in evicted or ():
                self._delete(self._path(value.key))
                log.debug("Evicted from the cache", extra={"key": value.key})
            if evicted is not None:
                disk.install(path, fill)
        return evicted is not None


def _touch(path: Path) -> None:
    # The order of eviction; a cache that can't be written is still of use.
    with suppress(OSError):
        os.utime(path)
