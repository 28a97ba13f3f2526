"""An object as the source of a transfer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

from ...errors import RemoteError
from ..partial_file import PartialFile
from ..transfer import Stream
from .pace import Pace
from .port import Stat
from .sums import DigestCheck

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
