"""Waiting for something no event tells of, with a generous deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator

DEADLINE = 60.0
FIRST, LONGEST, LATER = 0.005, 0.05, 1.3
"""Seconds between two looks: at first, at most, and how the one becomes the other."""


async def eventually(
    condition: Callable[[], object | Awaitable[object]], seconds: float = DEADLINE
) -> None:
    """
    Return once *condition* holds.

    The longer it takes, the rarer the looks: each costs whoever is asked, too.

    Raises:
        TimeoutError: it does not for *seconds*.
    """
    async with asyncio.timeout(seconds):
        for pause in pauses():
            met = condition()
            if await met if inspect.isawaitable(met) else met:
                return
            await asyncio.sleep(pause)


def soon(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    """The same where there is no loop, or not in this thread."""
    deadline = time.monotonic() + seconds
    for pause in pauses():
        if condition():
            return
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(pause)


def pauses() -> Iterator[float]:
    """Yield the seconds from each look to the next."""
    pause = FIRST
    while True:
        yield pause
        pause = min(pause * LATER, LONGEST)


async def turns(count: int = 50) -> None:
    """
    Let run what is ready, and what that makes ready, *count* times.

    For what must not happen where no timer, thread or peer is waited for: it takes
    as many turns of the loop on a busy machine as on an idle one.
    """
    for _ in range(count):
        await asyncio.sleep(0)
