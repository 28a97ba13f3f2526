"""A counter of changes, for several tasks that each wait at their own pace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["Revision", "ended"]


class Revision:
    """
    Counter of changes; a task that remembers a count can wait for the next change.

    With an event, a change that one task clears would be lost on the others.

    Attributes:
        count: Number of changes so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Revision: {self.count}>"

    def set(self) -> None:
        """Count a change and wake the tasks that wait."""
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
        """
        Return as `since` does, or once one of *tasks* ends or *seconds* have passed.
        """
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
    """Cancel *tasks* and wait for them, ignoring any exception they raise."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
