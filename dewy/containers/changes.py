"""Telling several who wait, each at their own pace, that something changed."""

from __future__ import annotations

import asyncio

__all__ = ["Changes"]


class Changes:
    """
    Counts changes; whoever remembers a count can wait for the next.

    An event that one of them clears is lost on the others.

    Attributes:
        count: How many there were.
    """

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Changes: {self.count}>"

    def set(self) -> None:
        """Something changed."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def since(self, count: int) -> None:
        """Return at once if there were more than *count*, else with the next."""
        if self.count == count:
            await self._next.wait()
