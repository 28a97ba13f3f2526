"""Caches: stores of verified artifacts, and of registries' answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Protocol, runtime_checkable

from ..schemes import Implementation, Schemes

__all__ = [
    "CACHES",
    "Cache",
    "SharedCache",
    "Versioned",
]


class Cache(Protocol):
    """
    A cache of small values and files by key.

    A key is one or more path segments joined by `/`, none of which begins with a dot;
    any other raises ValueError. Only values whose first segment is a scope, 16
    hexadecimal digits, may be evicted. A value is seen whole or not at all.

    Every method may raise OSError or RemoteError; callers go on without the cache.
    """

    async def get(self, key: str) -> bytes | None:
        """Return the small value under *key*, or None."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Write a small value, replacing what was there."""
        ...

    async def delete(self, key: str) -> None:
        """Delete *key*, if it exists."""
        ...

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that start with *prefix*, sorted."""
        ...

    async def store(self, key: str, source: Path) -> bool:
        """Keep a copy of the file *source*; False if it is too large to keep."""
        ...

    async def load(self, key: str, into: Path) -> bool:
        """
        Copy the file under *key* to *into*, which must not exist; False if there is no
        such file. The copy may be a hard link into the cache: never write to it.
        """
        ...

    def retain(self, keys: Collection[str]) -> None:
        """Exempt *keys* from eviction, in place of those retained before."""
        ...


@dataclass(frozen=True, slots=True)
class Versioned:
    """
    A small value with its version.

    Attributes:
        value: The bytes; None if there is no value.

        version: Changes when other bytes are written; "" if there is no value. Some
            stores derive it from the bytes, so vary them if each write has to count.

        now: The time of the answer by the store's clock, which its hosts have in
            common, in seconds since the epoch; None if the store does not state it.
    """

    value: bytes | None = None
    version: str = ""
    now: float | None = None


@runtime_checkable
class SharedCache(Cache, Protocol):
    """A cache that several hosts share, with compare-and-set."""

    async def read(self, key: str) -> Versioned:
        """Return the small value under *key* from the store, never from a copy."""
        ...

    async def compare_and_set(self, key: str, version: str, value: bytes) -> bool:
        """
        Write a small value if its version is still *version* ("" for no value yet).

        Return False if another host wrote first.

        Raises:
            RateLimited: nothing was written; the store will accept it a moment later.
        """
        ...


CACHES: Schemes[[Path], Cache] = Schemes(
    "cache",
    {
        "file": Implementation("dewy.caches.file:FileCache"),
        "mem": Implementation("dewy.caches.memory:MemoryCache"),
        "s3": Implementation("dewy.caches.s3:S3Cache", "s3"),
        "gs": Implementation("dewy.caches.gs:GSCache", "gcs"),
        "redis": Implementation("dewy.caches.redis:RedisCache", "redis"),
        "rediss": Implementation("dewy.caches.redis:RedisCache", "redis"),
        "consul": Implementation("dewy.caches.consul:ConsulCache", "consul"),
    },
)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A value in a cache: its size in bytes, and the time of its last use."""

    key: str
    size: int
    used: float


def segments(key: str) -> list[str]:
    """
    Return the segments of *key*.

    Raises:
        ValueError: a segment is empty or begins with a dot, or there is a NUL.
    """
    parts = key.split("/")
    if "\0" in key or any(part[:1] in ("", ".") for part in parts):
        raise ValueError(f"illegal cache key {key!r}")
    return parts


def make_room(
    held: Iterable[CacheEntry], *, size: int, limit: int, retained: Collection[str]
) -> list[CacheEntry] | None:
    """
    Return the values to evict, least recently used first, to fit *size* more bytes.

    Return None if they cannot fit even after evicting everything.
    """
    present = sorted(held, key=attrgetter("used"))
    excess = sum(value.size for value in present) + size - limit
    evicted = []
    for value in present:
        if excess <= 0:
            break
        if value.key not in retained:
            evicted.append(value)
            excess -= value.size
    return evicted if excess <= 0 else None
