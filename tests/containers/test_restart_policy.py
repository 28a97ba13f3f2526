"""When replicas may be started again."""

from __future__ import annotations

import asyncio

from dewy.containers.restart_policy import Pacing
from dewy.supervisor.backoff import LASTING


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_first_death_is_answered_at_once():
    pacing = Pacing()
    pacing.died(now())

    assert 0.0 == pacing.left


async def test_deaths_in_a_row_are_answered_later():
    pacing = Pacing()
    for number in range(2):
        pacing.died(now() + number)

    assert 0.0 < pacing.left <= 1.0


async def test_simultaneous_deaths_count_as_single_death():
    pacing, since = Pacing(), now() - 1.0
    for _ in range(5):
        pacing.died(since)

    assert 0.0 == pacing.left


async def test_replacement_that_begins_as_its_predecessor_dies_is_another_death():
    """The clock of uvloop may stand still between the two."""
    pacing = Pacing()
    pacing.died(now() - 1.0)
    pacing.died(now())

    assert 0.0 < pacing.left <= 1.0


async def test_pause_doubles_with_each_failure():
    pacing = Pacing()
    pacing.failed()
    assert 0.0 < pacing.left <= 1.0
    pacing.relent()
    assert 0.0 == pacing.left


async def test_failures_of_same_attempt_count_once():
    pacing = Pacing()
    for _ in range(5):
        pacing.failed()

    assert 0.0 < pacing.left <= 1.0


async def test_row_of_deaths_ends_once_a_replacement_has_lasted():
    async def row_after(seconds: float) -> int:
        pacing = Pacing()
        for number in range(3):
            pacing.died(now() + number)
        pacing._after_death = now() - seconds
        return pacing.row

    assert 3 == await row_after(LASTING - 5.0)
    assert 0 == await row_after(LASTING)


async def test_hope_shortens_no_pause_after_deaths():
    pacing = Pacing()
    for number in range(3):
        pacing.died(now() + number)
    pacing.relent()
    assert pacing.left > 0.0

    pacing.reset()
    assert 0.0 == pacing.left
