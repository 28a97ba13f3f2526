"""What happens by itself: deaths are answered, restarts are done."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from dewy.errors import StartFailed
from dewy.supervisor.backoff import Backoff
from dewy.supervisor.worker import Worker
from tests.eventually import eventually
from tests.standins import programs
from tests.standins.switching import renew


async def test_a_program_that_dies_is_started_again(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    first = site.generations.serving

    os.kill(first.pid, signal.SIGKILL)

    assert first is await asyncio.wait_for(site.deaths.get(), 20)
    await site.only(2)
    assert "v1" == await site.ask()


async def test_connections_wait_while_a_dead_program_is_started_again(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    os.kill(site.generations.serving.pid, signal.SIGKILL)

    assert ["v1"] * 20 == await asyncio.gather(*(site.ask() for _ in range(20)))


async def test_a_program_that_keeps_dying_is_started_ever_later(site):
    site.install("v1", programs.CRASHES)
    await site.open()
    with pytest.raises(StartFailed):
        await site.supervisor.start()

    for _ in range(3):
        await asyncio.wait_for(site.deaths.get(), 30)

    assert 1.5 == site.generations.deaths.backoff.delay


async def test_a_death_may_be_answered_with_another_release(site):
    site.install("v1")
    site.install("v2")
    await site.open()
    await site.supervisor.start()

    async def died(worker: object) -> bool:
        await asyncio.to_thread(site.point, site.root / "releases" / "v1")
        return True

    site.supervisor._died = died
    os.kill(site.generations.serving.pid, signal.SIGKILL)

    await site.answers("v1")


async def test_generation_dying_during_switch_is_replaced_by_candidate(site):
    site.install("v1")
    await site.open(ready="grace", start_grace=1.0)
    await site.supervisor.start()
    replacing = asyncio.create_task(renew(site.generations))
    await eventually(lambda: len(site.generations.workers) == 2)

    os.kill(site.generations.serving.pid, signal.SIGKILL)
    await replacing

    await site.only(2)
    assert "v1" == await site.ask()


async def test_program_killed_while_the_next_gets_ready_serves_again(site):
    """Nothing but a good release may be waited for where nothing serves."""
    site.install("v1")
    await site.open(start_grace=0.1)
    await site.supervisor.start()
    site.install("v2", programs.NEVER_READY)
    site.generations.policy = replace(site.policy, ready="notify", start_timeout=3600)
    replacing = asyncio.create_task(renew(site.generations))
    # Its process is there: `current` was read.
    await eventually(lambda: len(site.generations.leaders() - {0}) == 2)
    await asyncio.to_thread(site.point, site.root / "releases" / "v1")

    os.kill(site.generations.serving.pid, signal.SIGKILL)

    await site.answers("v1")
    assert not replacing.done()
    replacing.cancel()
    await asyncio.wait({replacing})
    await site.only(3)


async def test_restart_requested_during_switch_runs_afterwards(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    async with site.generations.switch() as candidate:
        site.supervisor.restart()
        await candidate.start()

    await site.only(3)
    assert "v1" == await site.ask()


async def test_if_both_die_the_old_release_is_back_before_anything_starts(site):
    site.install("v1")
    await site.open(start_grace=3600)
    await site.supervisor.start()
    old = site.generations.serving
    site.install(
        "v2",
        "import os, time\n"
        "while not os.path.exists('die'):\n"
        "    time.sleep(0.01)\n"
        "raise SystemExit(1)\n",
    )

    async def undo(why: BaseException) -> None:
        await asyncio.to_thread(site.point, site.root / "releases" / "v1")

    replacing = asyncio.create_task(renew(site.generations, undo=undo))
    await eventually(lambda: len(site.generations.workers) == 2)
    os.kill(old.pid, signal.SIGKILL)
    await old.exited
    await asyncio.to_thread((site.root / "die").touch)
    await asyncio.wait({replacing})

    assert replacing.exception() is not None
    assert "v1" == await site.ask()


async def test_rapid_restarts_converge_to_single_healthy_generation(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()

    for _ in range(100):
        site.supervisor.restart()
        # So that they come at every point of a restart.
        await asyncio.sleep(0.001)
    await eventually(
        lambda: not (site.supervisor._restart.is_set() or site.generations._restarting)
    )

    last = site.generations.serving.generation
    assert last >= 2
    await site.only(last)
    assert "v1" == await site.ask()


async def test_a_restart_asked_for_while_an_old_generation_drains_is_not_lost(site):
    """A slow shutdown once swallowed the restart that came meanwhile."""
    site.install("v1", programs.STUBBORN)
    await site.open(stop_timeout=5)
    await site.supervisor.start()
    await eventually((site.root / "deaf").exists)
    site.install("v2")
    site.supervisor.restart()
    await eventually(lambda: site.generations.serving.generation == 2)
    site.install("v3")

    site.supervisor.restart()

    # It accepts before it takes over, so it is not its answer that tells.
    await eventually(lambda: site.generations.serving.generation == 3)
    await site.answers("v3")


async def test_a_restart_that_fails_leaves_the_old_generation(site):
    site.install("v1")
    await site.open(start_grace=20.0)
    await site.supervisor.start()
    site.install("v2", programs.CRASHES)

    site.supervisor.restart()
    await eventually(
        lambda: site.generations._count == 2 and len(site.generations.workers) == 1
    )

    assert "v1" == await site.ask()


async def test_stopping_ends_every_generation_and_waits(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    await site.answers("v1")
    worker = site.generations.serving

    await site.supervisor.stop()

    assert 0 == worker.exited.result()
    assert {} == site.records[-1]
    await site.supervisor.stop()


async def test_hurried_stop_kills_program_ignoring_sigterm(site):
    site.install("v1", programs.STUBBORN)
    await site.open(stop_timeout=3600)
    await site.supervisor.start()
    await eventually((site.root / "deaf").exists)
    worker = site.generations.serving
    stopping = asyncio.create_task(site.supervisor.stop())
    await eventually(lambda: worker.terminating)

    site.generations.hurry.set()
    await asyncio.wait_for(stopping, 20)

    assert -signal.SIGKILL == worker.exited.result()


async def test_a_host_out_of_resources_does_not_end_the_watch(site, monkeypatch):
    """No process, pipe or thread to be had is a failed start, tried again later."""
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    spawn, tries = Worker.spawn, 0

    def refuse_first(worker: Worker, *args: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        spawn(worker, *args)

    monkeypatch.setattr(Worker, "spawn", refuse_first)
    os.kill(site.generations.serving.pid, signal.SIGKILL)

    await site.only(3)


async def test_start_that_keeps_failing_is_tried_ever_later(site, monkeypatch):
    """A generation without a process counted as one that had lasted."""
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    tries = []

    def refuse(worker: Worker, *args: Any) -> None:
        tries.append(site.generations.deaths.backoff.delay)
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(Worker, "spawn", refuse)
    os.kill(site.generations.serving.pid, signal.SIGKILL)
    await eventually(lambda: len(tries) == 3)

    assert [0.0, 1.0, 1.5] == tries


async def test_a_verdict_that_fails_does_not_end_the_watch(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()

    async def died(worker: object) -> bool:
        raise LookupError("a fault of ours")

    site.supervisor._died = died
    os.kill(site.generations.serving.pid, signal.SIGKILL)

    await site.only(2)


async def test_a_restart_the_host_cannot_afford_is_not_the_last(site, monkeypatch):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", refuse)
        site.supervisor.restart()
        await eventually(lambda: not site.supervisor._restart.is_set())
        await eventually(lambda: not site.generations.switching.locked())
    site.supervisor.restart()

    await eventually(lambda: site.generations.serving.generation > 1)
    assert "v1" == await site.ask()


def refuse() -> None:
    raise OSError(errno.EMFILE, "Too many open files")


async def test_initial_start_succeeds_without_expected_ready(site):
    """As after a rollback: one that serves is better than none that says so."""
    site.install("v1", programs.SILENT)
    site.notifies = True
    await site.open(start_timeout=0.5)

    await site.supervisor.start()

    assert "v1" == await site.ask()
    assert site.generations.alive


async def test_port_that_an_old_generation_closes_for_all_serves_on(site):
    site.install("v1", programs.SHUTS_DOWN)
    await site.open()
    await site.supervisor.start()
    site.install("v2")
    await renew(site.generations)
    await eventually((site.root / "shut").exists)
    (site.root / "leave").touch()
    await site.only(2)

    assert "v2" == await site.ask()


async def test_respawn_backoff_is_reset_by_new_release(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    site.generations.deaths.backoff = Backoff(8)
    await renew(site.generations)
    assert Backoff(8) == site.generations.deaths.backoff
    site.install("v2")
    await renew(site.generations)

    assert Backoff() == site.generations.deaths.backoff
