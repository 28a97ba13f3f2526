"""Valid keys of a cache, and eviction when it is full (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import attrgetter


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A value in a cache: its size in bytes, and when it was last of use."""

    key: str
    size: int
    used: float


def segments(key: str) -> list[str]:
    """
    Take *key* apart.

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

    None, and so nothing, if they cannot fit however much is evicted.
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
