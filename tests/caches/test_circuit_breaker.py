"""A store that is slow costs one deadline, not one a call."""

from __future__ import annotations

import asyncio

import pytest

from dewy.caches.outages import AWAY, CircuitBreaker, together
from dewy.errors import RemoteError


async def test_call_exceeding_deadline_raises_remote_error() -> None:
    reach = CircuitBreaker("redis://cache")

    with pytest.raises(RemoteError, match=r"redis://cache did not answer in 0\.01 s"):
        async with reach.within(0.01):
            await asyncio.Event().wait()


async def test_store_that_was_too_slow_is_left_alone_for_a_while() -> None:
    now = 0.0
    reach = CircuitBreaker("redis://cache", lambda: now)
    with pytest.raises(RemoteError):
        async with reach.within(0.01):
            await asyncio.Event().wait()

    with pytest.raises(RemoteError, match="a moment ago"):
        async with reach.within():
            pytest.fail("it was asked")
    now = AWAY
    async with reach.within():
        pass


async def test_calls_at_once_end_together() -> None:
    """The first failure is the one that is raised, and nothing runs on."""
    ended = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def fail() -> None:
        raise RemoteError("refused")

    with pytest.raises(RemoteError, match="refused"):
        await together(hang(), fail(), hang())
    assert [True, True] == ended


async def test_results_keep_their_order() -> None:
    async def give(number: int) -> int:
        await asyncio.sleep(0)
        return number

    assert [1, 2, 3] == await together(give(1), give(2), give(3))
