"""A cache in this process's memory, for tests and hosts without a disk."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Collection
from itertools import count
from pathlib import Path
from typing import ClassVar
from urllib.parse import SplitResult

from .. import urls
from . import CacheEntry, Versioned, make_room, segments


class MemoryCache:
    """A cache `mem://NAME?max-size=64MiB` in memory, shared within the process."""

    _named: ClassVar[dict[str, dict[str, bytes]]] = {}
    _uses: ClassVar[dict[str, dict[str, int]]] = {}
    _writes: ClassVar[dict[str, dict[str, int]]] = {}
    _clock: ClassVar[count[int]] = count()

    def __init__(self, url: SplitResult, default_directory: Path) -> None:
        chosen = urls.options(url, {"max-size": "64MiB", "registry-ttl": ""})
        self.name = url.netloc
        self._limit = urls.size("max-size", chosen["max-size"])
        self._values = self._named.setdefault(self.name, {})
        self._used = self._uses.setdefault(self.name, {})
        self._written = self._writes.setdefault(self.name, {})
        self._retained: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<MemoryCache {self.name}: {len(self._values)} held>"

    async def get(self, key: str) -> bytes | None:
        segments(key)
        value = self._values.get(key)
        if value is not None:
            self._used[key] = next(self._clock)
        return value

    async def put(self, key: str, value: bytes) -> None:
        segments(key)
        if not self._insert(key, value):
            raise OSError(errno.ENOSPC, f"mem://{self.name} is full")

    async def read(self, key: str) -> Versioned:
        value = await self.get(key)
        if value is None:
            return Versioned()
        return Versioned(value, str(self._written[key]))

    async def compare_and_set(self, key: str, version: str, value: bytes) -> bool:
        if (await self.read(key)).version != version:
            return False
        await self.put(key, value)
        return True

    async def delete(self, key: str) -> None:
        segments(key)
        self._values.pop(key, None)

    async def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self._values if key.startswith(prefix))

    async def store(self, key: str, source: Path) -> bool:
        segments(key)
        size = (await asyncio.to_thread(source.stat)).st_size
        return size <= self._limit and self._insert(
            key, await asyncio.to_thread(source.read_bytes)
        )

    async def load(self, key: str, into: Path) -> bool:
        value = await self.get(key)
        if value is None:
            return False
        await asyncio.to_thread(_create, into, value)
        return True

    def retain(self, keys: Collection[str]) -> None:
        self._retained = frozenset(keys)

    def _insert(self, key: str, value: bytes) -> bool:
        others = [
            CacheEntry(other, len(content), self._used[other])
            for other, content in self._values.items()
            if other != key
        ]
        evicted = make_room(
            others, size=len(value), limit=self._limit, retained=self._retained
        )
        for other in evicted or ():
            del self._values[other.key]
        if evicted is not None:
            self._values[key] = value
            self._used[key] = self._written[key] = next(self._clock)
        return evicted is not None


def _create(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
