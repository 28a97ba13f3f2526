"""An object as the source of a transfer: its pieces, their size, and its digest."""

from __future__ import annotations

import asyncio
import hashlib
import time
import zlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager, contextmanager
from importlib import import_module
from typing import Protocol

from ...errors import RemoteError
from ..partial_file import PartialFile
from ..transfer import Stream
from .store import Stat

Piece = bytes | bytearray

Ask = Callable[[Stat, int, int], Awaitable[Piece]]
"""Fetches a piece by its offset and length; fewer bytes if they are slow."""


class ObjectSource:
    """
    The object *stat* in the store *where*, a piece at a time.

    One that was replaced after *stat* is not taken up again.
    """

    def __init__(self, where: str, stat: Stat, ask: Ask) -> None:
        self.where = where
        self._stat = stat
        self._ask = ask
        self._pace = Pace()
        self._check = DigestCheck(stat.sums)

    @asynccontextmanager
    async def opened(self, start: int) -> AsyncIterator[Stream]:
        async with aclosing(self._pieces(start)) as pieces:
            yield Stream(start, self._stat.size, pieces)

    async def settle(self, draft: PartialFile) -> None:
        if not self._check.passed:
            raise RemoteError(
                f"{self._stat.key} arrived with another {self._check.name}"
            )

    async def _pieces(self, done: int) -> AsyncGenerator[Piece, None]:
        while done < self._stat.size:
            length = min(self._pace.length, self._stat.size - done)
            with self._pace.measured():
                piece = await self._ask(self._stat, done, length)
            await asyncio.to_thread(self._check.update, piece)
            done += len(piece)
            yield piece


LEAST, MOST = 1 << 20, 8 << 20
"""Bytes of a piece: what a slow line brings in time, and what memory bears."""

BRISK, SLOW = 2.0, 10.0
"""Seconds for a piece; the next is twice, or half, as large."""


class Pace:
    """Pieces that take some seconds each, whatever the line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.length = LEAST
        self._clock = clock

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Bring one piece in the block; what fails counts as slow."""
        began = self._clock()
        try:
            yield
        except BaseException:
            self.length = LEAST
            raise
        self._adapt(self._clock() - began)

    def _adapt(self, seconds: float) -> None:
        if seconds < BRISK:
            self.length = min(2 * self.length, MOST)
        elif seconds > SLOW:
            self.length = max(self.length // 2, LEAST)


class Sum(Protocol):
    """A digest that grows with its input."""

    def update(self, piece: bytes | bytearray, /) -> object: ...

    def digest(self) -> bytes: ...


class CRC32:
    """The checksum of zip and Ethernet, as big-endian bytes."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, piece: bytes | bytearray, /) -> None:
        self._sum = zlib.crc32(piece, self._sum)

    def digest(self) -> bytes:
        return self._sum.to_bytes(4, "big")


ORDER = ("sha256", "md5", "crc32c", "crc32")
"""The algorithms, the strongest first."""


def best(known: Iterable[str]) -> str:
    """Return which of the algorithms *known* to compare; "" for none."""
    return next((name for name in ORDER if name in known), "")


def begin(name: str) -> Sum:
    """Begin a sum, of nothing yet."""
    match name:
        case "crc32":
            return CRC32()
        case "crc32c":
            # Of Google's own library, without whose store nobody tells this sum.
            made: Sum = import_module("google_crc32c").Checksum()
            return made
        case _:
            return hashlib.new(name, usedforsecurity=False)


class DigestCheck:
    """
    The comparison of what arrives with the best of the digests that were *stated*.
    """

    def __init__(self, stated: Mapping[str, bytes]) -> None:
        self.name = best(stated)
        self._stated = stated.get(self.name)
        self._sum = begin(self.name) if self.name else None

    def update(self, piece: bytes | bytearray) -> None:
        """Take the next *piece*."""
        if self._sum is not None:
            self._sum.update(piece)

    @property
    def passed(self) -> bool:
        """True if all that arrived is what was stated, or nothing was stated."""
        return self._sum is None or self._sum.digest() == self._stated
