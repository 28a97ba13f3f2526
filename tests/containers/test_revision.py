"""Nobody who waits for a change misses one."""

from __future__ import annotations

import asyncio

from dewy.containers.revision import Revision


async def test_a_change_that_came_before_is_not_waited_for():
    revision = Revision()
    before = revision.count
    revision.set()

    async with asyncio.timeout(60):
        await revision.since(before)


async def test_revision_change_wakes_every_waiter():
    revision = Revision()

    async def follow(times: int) -> int:
        seen = revision.count
        for _ in range(times):
            await revision.since(seen)
            seen = revision.count
        return seen

    quick, slow = (asyncio.create_task(follow(n), name=f"{n}") for n in (2, 1))
    await asyncio.sleep(0)
    revision.set()
    assert 1 == await slow
    assert not quick.done()
    revision.set()
    assert 2 == await quick


async def test_wait_from_current_revision_returns_on_next_change():
    revision = Revision()
    revision.set()
    waiting = asyncio.create_task(revision.since(revision.count), name="waiting")
    await asyncio.sleep(0)
    assert not waiting.done()

    revision.set()
    await waiting
