"""Writes of one object that come too soon after one another."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...errors import RateLimited
from ..transfer import Effort

T = TypeVar("T")

TURNS = 5
"""Attempts at a write, all within the time that caches have for a call."""

APART = 1.0
"""Seconds between two writes of an object that Google permits."""

LONGEST = 3.0
"""Seconds; a store that asks for more is not waited for here."""


async def in_turn(
    write: Callable[[], Awaitable[T]],
    effort: Effort,
    is_due: Callable[[], Awaitable[bool]],
) -> T | None:
    """
    Return what *write* returns, in a later turn where the store takes it only then.

    None if it is not due any more by then.

    Raises:
        RateLimited: the store did not take it in time.
    """
    for _ in range(TURNS - 1):
        try:
            return await write()
        except RateLimited as exc:
            asked = exc.retry_after or 0.0
            if asked > LONGEST:
                raise
        if not await is_due():
            return None
        # Those that wait must not come together again.
        await effort.wait(max(asked, APART) * random.uniform(1.0, 1.3))
    return await write()
