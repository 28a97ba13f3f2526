"""Starting beside, taking over, giving up: with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dewy.errors import StartFailed
from dewy.supervisor import generations as module
from tests.eventually import eventually
from tests.needs import needs
from tests.standins import programs
from tests.standins.fuse import hung, hung_threads
from tests.standins.switching import renew

PATIENT = {"start_grace": 20.0}
"""Programs that crash at once, or say READY=1, need no such time on a quiet machine."""


async def test_new_generation_replaces_old_generation(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    first = site.generations.serving
    site.install("v2")

    await renew(site.generations)

    await site.only(2)
    assert "v2" == await site.ask()
    assert 0 == first.exited.result()


async def test_old_generation_is_terminated_only_after_commit(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    old = site.generations.serving
    seen = []

    async def commit() -> None:
        seen.append((old.terminating, len(site.generations.workers)))

    await renew(site.generations, commit=commit)

    assert [(False, 2)] == seen
    await site.only(2)


@pytest.mark.parametrize(
    ("program", "policy", "reason"),
    [
        (programs.CRASHES, {}, r"ended \(exit status 3\)"),
        (programs.NEVER_READY, {"ready": "notify", "start_timeout": 0.5}, "READY=1"),
        (programs.UNHEALTHY, {"health_path": "/up", "health_timeout": 4}, "500"),
        ("import os\nos.abort()\n", {}, "SIGABRT"),
    ],
    ids=["crashes", "never-ready", "unhealthy", "aborts"],
)
async def test_a_bad_release_leaves_the_old_generation_alone(
    site, program, policy, reason
):
    site.install("v1")
    await site.open(**PATIENT)
    await site.supervisor.start()
    old = site.generations.serving
    site.generations.policy = replace(site.generations.policy, **policy)
    site.install("v2", program)
    undone = []

    async def undo(why: BaseException) -> None:
        await asyncio.to_thread(site.point, site.root / "releases" / "v1")
        undone.append((why, old.terminating))

    with pytest.raises(StartFailed, match=reason) as failure:
        await renew(site.generations, undo=undo)

    assert [(failure.value, False)] == undone
    assert old is site.generations.serving
    assert [old] == list(site.generations.workers)
    assert "v1" == await site.ask()


async def test_a_failure_carries_the_last_lines(site):
    site.install("v1", programs.CRASHES)
    await site.open(**PATIENT)

    with pytest.raises(StartFailed) as failure:
        await renew(site.generations)

    assert ("no database",) == failure.value.log_tail


async def test_a_missing_program_is_named(site):
    site.install("v1")
    await site.open()
    site.generations._program = ("current/none", "x")

    with pytest.raises(StartFailed, match="current/none cannot be executed: No such"):
        await renew(site.generations)


async def test_a_commit_that_fails_leaves_the_old_generation_alone(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()

    async def commit() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await renew(site.generations, commit=commit)

    assert "v1" == await site.ask()
    await site.only(1)


async def test_ready_is_required_after_program_has_notified(site):
    """With `auto`, a program that never says READY=1 is fine only if none ever did."""
    site.install("v1", programs.SILENT)
    await site.open()
    await site.supervisor.start()
    site.install("v2")
    site.generations.policy = replace(site.generations.policy, **PATIENT)
    await renew(site.generations)
    assert site.generations.notifies
    site.install("v3", programs.SILENT)
    site.generations.policy = replace(site.generations.policy, start_timeout=0.5)

    with pytest.raises(StartFailed, match="READY=1"):
        await renew(site.generations)

    assert "v2" == await site.ask()


async def test_generation_that_ends_just_before_it_takes_over_has_failed(site):
    """It was ready, and the one that serves is still there."""
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    site.install("v2")
    placed = 0

    async def place() -> None:
        nonlocal placed
        placed += 1
        if placed == 2:
            os.kill(candidate.worker.pid, signal.SIGKILL)
            await candidate.worker.exited

    with pytest.raises(StartFailed, match="generation 2 ended"):
        async with site.generations.switch() as candidate:
            await candidate.start(place)

    assert 2 == placed
    assert "v1" == await site.ask()
    await site.only(1)


async def test_generation_ignoring_sigterm_is_killed_after_timeout(site):
    site.install("v1", programs.STUBBORN)
    await site.open(stop_timeout=0.3)
    await site.supervisor.start()
    await eventually((site.root / "deaf").exists)
    old = site.generations.serving
    site.install("v2")

    await renew(site.generations)

    await site.only(2)
    assert -signal.SIGKILL == old.exited.result()


async def test_child_processes_are_killed_with_their_generation(site, tmp_path):
    site.install(
        "v1",
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    open('draft', 'w').write(str(os.getpid()))\n"
        "    os.rename('draft', 'child')\n"
        "    time.sleep(3600)\n"
        "signal.pause()\n",
    )
    await site.open(stop_timeout=0.5)
    await site.supervisor.start()
    await eventually((tmp_path / "child").exists)
    site.install("v2")

    await renew(site.generations)

    await site.only(2)
    child = int((tmp_path / "child").read_text())
    assert not _lives(child)


async def test_generation_is_recorded_before_exec(site, tmp_path):
    site.install("v1", "open('ran', 'a').write('x')\nimport signal\nsignal.pause()\n")
    await site.open()
    recorded = []

    async def record() -> None:
        recorded.append(await asyncio.to_thread((tmp_path / "ran").exists))

    site.generations._record = record
    await site.supervisor.start()

    assert not recorded[0]
    await eventually((tmp_path / "ran").exists)


async def test_old_generation_stays_if_new_dies_in_kill_old_delay(site):
    site.install("v1")
    await site.open(kill_old_delay=30)
    await site.supervisor.start()
    old = site.generations.serving
    site.install("v2", programs.MORTAL)
    replacing = asyncio.create_task(renew(site.generations))
    await site.answers("v2")
    (site.root / "die").touch()

    with pytest.raises(StartFailed, match="exit status 9"):
        await replacing

    assert old is site.generations.serving
    assert "v1" == await site.ask()


async def test_descriptors_do_not_add_up(site):
    site.install("v1")
    await site.open()
    await site.supervisor.start()
    await renew(site.generations)
    await site.only(2)
    before = len(os.listdir("/proc/self/fd"))

    for generation in range(3, 8):
        await renew(site.generations)
        await site.only(generation)

    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_status_is_degraded_while_a_program_of_another_release_serves(site):
    wanted = "v1"
    site.install("v1")
    await site.open(start_grace=0.1, release=lambda: wanted)
    await site.supervisor.start()
    assert [] == site.generations.degraded()

    wanted = "v0"

    told = "the program that serves is of another release"
    assert [told] == site.generations.degraded()


@asynccontextmanager
async def hanging(site, start_timeout: float) -> AsyncIterator[asyncio.Task[None]]:
    """A switch to a program that hangs as it is executed, beside v1."""
    site.install("v1")
    await site.open(stop_timeout=0.2)
    await site.supervisor.start()
    policy = replace(site.policy, start_timeout=start_timeout)
    site.generations.policy = policy
    mount = site.root / "mount"
    await asyncio.to_thread(mount.mkdir)
    with hung(mount):
        site.generations._program = (str(mount / "python"), *programs.COMMAND[1:])
        switch = asyncio.create_task(renew(site.generations))
        try:
            await eventually(lambda: hangs(site))
            site.generations._program = programs.COMMAND
            yield switch
        finally:
            switch.cancel()
            await asyncio.wait({switch})


def hangs(site) -> bool:
    starting = [w for w, s in site.generations.workers.items() if s == "starting"]
    return any(w.pid and hung_threads(w.pid) for w in starting)


@needs("fuse")
async def test_dead_generation_is_respawned_while_candidate_exec_hangs(site):
    async with hanging(site, 3600):
        site.generations.serving.kill()
        await site.answers("v1")


@needs("fuse")
async def test_switch_ends_though_its_failed_generation_cannot_be_killed(
    site, monkeypatch
):
    monkeypatch.setattr(module, "KILLED", 0.2)
    async with hanging(site, 8) as switch:
        with pytest.raises(StartFailed, match="was not executed within 8 s") as failed:
            await switch

        assert failed.value.host
        assert {"serving", "draining"} == set(site.generations.workers.values())
        assert "v1" == await site.ask()
    await site.only(1)
