"""Circuit breaker: a store on another host costs time, and no more than once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ..errors import RemoteError

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds for one call."""

AWAY = 15.0
"""Seconds in which a store that missed its deadline is not asked again."""


class CircuitBreaker:
    """
    Deadlines for calls to one store.

    A store that is slow rather than down would cost its deadline call by call;
    so after one missed deadline the next calls fail at once, for a while.

    Args:
        where: The store's name in messages; no secrets.
    """

    def __init__(
        self, where: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.where = where
        self._monotonic = monotonic
        self._away_until = float("-inf")

    @asynccontextmanager
    async def within(self, seconds: float = PATIENCE) -> AsyncIterator[None]:
        """
        Give the block *seconds*.

        Raises:
            RemoteError: the block took longer, or another one did a moment ago.
        """
        if self._monotonic() < self._away_until:
            raise RemoteError(f"{self.where} did not answer in time a moment ago")
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            self._away_until = self._monotonic() + AWAY
            raise RemoteError(f"{self.where} did not answer in {seconds:g} s") from None


async def together(*calls: Coroutine[Any, Any, T]) -> list[T]:
    """
    Return the results of *calls*, made at once.

    Raises:
        OSError, RemoteError: the error of the first call that failed; the others are
            cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call, name="cache call") for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
