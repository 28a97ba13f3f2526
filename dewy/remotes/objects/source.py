"""Objects as sources of transfers: the size of pieces, and the check of digests."""

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
"""Returns the piece of an object at an offset; fewer bytes than asked for if slow."""


class ObjectSource:
    """
    The object *stat* in the store *where*, fetched in pieces.

    *ask* fails if the object was replaced since.
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

    async def finish(self, file: PartialFile) -> None:
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
"""Minimum and maximum bytes of a piece, for slow connections and for memory."""

FAST, SLOW = 2.0, 10.0
"""Seconds for a piece, below and above which the next is twice or half as large."""


class Pace:
    """Adaptive length of pieces, so that each takes some seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.length = LEAST
        self._clock = clock

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure the transfer of a piece in the block; after a failure, begin anew."""
        began = self._clock()
        try:
            yield
        except BaseException:
            self.length = LEAST
            raise
        self._adapt(self._clock() - began)

    def _adapt(self, seconds: float) -> None:
        if seconds < FAST:
            self.length = min(2 * self.length, MOST)
        elif seconds > SLOW:
            self.length = max(self.length // 2, LEAST)


class Sum(Protocol):
    """An incremental digest, such as those of hashlib."""

    def update(self, piece: bytes | bytearray, /) -> object: ...

    def digest(self) -> bytes: ...


class CRC32:
    """CRC-32 (ISO 3309), as big-endian bytes."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, piece: bytes | bytearray, /) -> None:
        self._sum = zlib.crc32(piece, self._sum)

    def digest(self) -> bytes:
        return self._sum.to_bytes(4, "big")


ORDER = ("sha256", "md5", "crc32c", "crc32")
"""Known algorithms, the strongest first."""


def strongest(stated: Iterable[str]) -> str:
    """Return the strongest known algorithm among *stated*; "" for none."""
    return next((name for name in ORDER if name in stated), "")


def new(name: str) -> Sum:
    """Return a new digest of the algorithm *name*."""
    match name:
        case "crc32":
            return CRC32()
        case "crc32c":
            # Part of Google's client; only Google's store states this sum.
            crc32c: Sum = import_module("google_crc32c").Checksum()
            return crc32c
        case _:
            return hashlib.new(name, usedforsecurity=False)


class DigestCheck:
    """Check of received bytes by the strongest of the *stated* digests."""

    def __init__(self, stated: Mapping[str, bytes]) -> None:
        self.name = strongest(stated)
        self._stated = stated.get(self.name)
        self._sum = new(self.name) if self.name else None

    def update(self, piece: bytes | bytearray) -> None:
        """Add the next *piece*."""
        if self._sum is not None:
            self._sum.update(piece)

    @property
    def passed(self) -> bool:
        """Whether the digest is the stated one, or none was stated."""
        return self._sum is None or self._sum.digest() == self._stated
