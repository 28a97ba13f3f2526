"""Queue of an engine's events that have not been read yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..model import Event

__all__ = ["EngineEvents"]


class EngineEvents(AsyncIterator[Event]):
    """
    Queue of events in order; waiting for the next may be cancelled.

    Args:
        kept: Limit of unread events, at which `tell` waits; 0 means no limit.
    """

    def __init__(self, kept: int = 0) -> None:
        self._told: asyncio.Queue[Event | Exception] = asyncio.Queue(kept)

    def __repr__(self) -> str:
        return f"<Events: {self._told.qsize()} unread>"

    async def tell(self, what: Event | Exception) -> None:
        """Append an event, or an error, which is raised where it is read."""
        await self._told.put(what)

    def tell_now(self, what: Event) -> None:
        """Append an event to a queue without a limit."""
        self._told.put_nowait(what)

    async def __anext__(self) -> Event:
        what = await self._told.get()
        if isinstance(what, Exception):
            raise what
        return what
