"""What an engine has told, until it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..model import Event

__all__ = ["Events"]


class Events(AsyncIterator[Event]):
    """
    Events in the order they were told; waiting for the next may be cancelled.

    Args:
        kept: Who tells waits while so many are unread; 0 is without limit.
    """

    def __init__(self, kept: int = 0) -> None:
        self._told: asyncio.Queue[Event | Exception] = asyncio.Queue(kept)

    def __repr__(self) -> str:
        return f"<Events: {self._told.qsize()} unread>"

    async def tell(self, what: Event | Exception) -> None:
        """Add to what will be read; an error is raised where it is read."""
        await self._told.put(what)

    def tell_now(self, what: Event) -> None:
        """Add to what will be read, where there is no limit."""
        self._told.put_nowait(what)

    async def __anext__(self) -> Event:
        what = await self._told.get()
        if isinstance(what, Exception):
            raise what
        return what
