"""Telling several who wait, each at their own pace, that something changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["Revision", "ended"]


class Revision:
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
        return f"<Revision: {self.count}>"

    def set(self) -> None:
        """Something changed."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def since(self, count: int) -> None:
        """Return at once if there were more than *count*, else with the next."""
        if self.count == count:
            await self._next.wait()

    async def since_or_done(
        self,
        count: int,
        tasks: Iterable[asyncio.Task[Any]],
        seconds: float | None = None,
    ) -> None:
        """As `since`, but return as well when one of *tasks* ends or *seconds* pass."""
        changed = asyncio.create_task(self.since(count), name="change")
        try:
            await asyncio.wait(
                {changed, *tasks},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            await ended({changed})


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel *tasks* and wait for them; what they raised is of no interest."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
