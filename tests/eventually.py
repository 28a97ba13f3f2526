"""Waiting for something no event tells of, with a generous deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
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


def soon(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """The same where there is no loop, or not in this thread."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(LOOK)


async def turns(count: int = 50) -> None:
    """
    Let run what is ready, and what that makes ready, *count* times.

    For what must not happen where no timer, thread or peer is waited for: it takes
    as many turns of the loop on a busy machine as on an idle one.
    """
    for _ in range(count):
        await asyncio.sleep(0)
