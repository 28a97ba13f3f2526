"""Nobody who waits for a change misses one."""

from __future__ import annotations

import asyncio

from dewy.containers.changes import Changes


async def test_a_change_that_came_before_is_not_waited_for():
    changes = Changes()
    before = changes.count
    changes.set()

    async with asyncio.timeout(60):
        await changes.since(before)


async def test_every_one_who_waits_is_told():
    changes = Changes()

    async def follow(times: int) -> int:
        seen = changes.count
        for _ in range(times):
            await changes.since(seen)
            seen = changes.count
        return seen

    quick, slow = (asyncio.create_task(follow(n), name=f"{n}") for n in (2, 1))
    await asyncio.sleep(0)
    changes.set()
    assert 1 == await slow
    assert not quick.done()
    changes.set()
    assert 2 == await quick


async def test_what_is_known_is_waited_beyond():
    changes = Changes()
    changes.set()
    waiting = asyncio.create_task(changes.since(changes.count), name="waiting")
    await asyncio.sleep(0)
    assert not waiting.done()

    changes.set()
    await waiting
