"""Waiting for something no event tells of, with a generous deadline."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

DEADLINE = 60.0
LOOK = 0.01


async def eventually(
    condition: Callable[[], object | Awaitable[object]], seconds: float = DEADLINE
) -> None:
    """
    Return once *condition* holds.

    Raises:
        TimeoutError: it does not for *seconds*.
    """
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if await met if inspect.isawaitable(met) else met:
                return
            await asyncio.sleep(LOOK)
