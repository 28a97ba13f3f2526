"""Generations that take over unchecked, and the first answers they give."""

from __future__ import annotations

import asyncio

import pytest

from tests.eventually import eventually
from tests.standins import programs

POLICY = {"start_grace": 0.1, "health_path": "/up"}


async def started(site, program: str | None, **policy):
    """Return what serves after a start where nothing served before."""
    site.install("v1", program)
    await site.open(**POLICY | policy)
    await site.supervisor.start()
    return site.generations.serving


async def test_generation_is_starting_and_clients_wait_until_response(site):
    (site.root / "slow").touch()
    worker = await started(site, programs.SLOW)
    asking = asyncio.create_task(site.ask())

    assert ["the program is starting"] == site.generations.degraded()
    assert {worker: "starting"} == site.generations.workers
    (site.root / "slow").unlink()
    assert "v1" == await asking
    await site.only(1)
    assert [] == site.generations.degraded()


async def test_ready_counts_where_the_health_path_does_not_answer_well(site):
    await started(site, programs.UNHEALTHY)

    await site.only(1)


async def test_generation_without_health_path_serves_after_the_grace(site):
    await started(site, programs.NEVER_READY, health_path="")

    assert [] == site.generations.degraded()


async def test_missed_answer_leaves_the_generation_starting(site):
    worker = await started(site, programs.NEVER_READY, health_timeout=0.2)

    await eventually(lambda: site.generations.first_answer.missed is worker)
    assert site.generations.starts
    # The later checks notice it.
    site.generations.serves(worker)
    assert not site.generations.starts


async def test_death_before_the_first_answer_is_answered(site):
    (site.root / "slow").touch()
    worker = await started(site, programs.SLOW)
    worker.kill()

    assert worker is await site.deaths.get()
    (site.root / "slow").unlink()
    await site.only(2)


@pytest.mark.parametrize("checked", [True, False])
async def test_unchecked_restart_leaves_generation_starting(site, checked):
    await started(site, programs.SILENT)
    await site.only(1)

    await site.generations.restart(checked=checked)

    assert checked is not site.generations.starts
    await site.only(2)
