"""Deaths are known before the engine tells of them."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.containers import exit_watcher as module
from dewy.containers.exit_watcher import ExitWatcher, open_process
from dewy.containers.replica import Replica
from dewy.containers.rollout import Phase
from tests.eventually import eventually
from tests.standins.fleets import Yard, yard


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    """Something that runs until it is killed."""
    made = await asyncio.create_subprocess_exec("sleep", "600")
    yield made
    if made.returncode is None:
        made.kill()
        await made.wait()


@pytest.fixture
async def it(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    """Any process passes for a container's."""
    monkeypatch.setattr(module, "open_process", lambda pid, _: os.pidfd_open(pid))
    async with yard() as made:
        yield made


async def running(it: Yard, process: Process) -> Replica:
    """A replica that serves, in *process*."""
    replica = await it.serving("a")
    it.host.held[replica.id].change(pid=process.pid)
    return replica


async def watched(exit_watcher: ExitWatcher, it: Yard, replica: Replica) -> None:
    """The engine shows *replica*, and from now on the kernel tells of its end."""
    await it.store.observe()
    await eventually(lambda: replica in exit_watcher)


async def end(process: Process) -> None:
    process.kill()
    await process.wait()


async def test_the_dead_leave_the_table_before_the_engine_knows(
    it: Yard, process: Process
):
    replica = await running(it, process)
    async with ExitWatcher(it.store) as exit_watcher:
        await watched(exit_watcher, it, replica)
        assert [1] == it.backends()
        await end(process)
        await eventually(replica.dead.is_set)

        assert [0] == it.backends()
        assert replica not in exit_watcher
        assert not replica.ended.done()
        assert [] == it.dead
        # It is still the engine's to say how.
        it.store.lose(replica, 9)
        assert 9 == await replica.ended
    assert ["a"] == it.dead


async def test_dead_replica_is_not_admitted_to_table(it: Yard, process: Process):
    replica = await running(it, process)
    async with ExitWatcher(it.store) as exit_watcher:
        await watched(exit_watcher, it, replica)
        it.store.table.drop([replica])
        replica.phase = Phase.READY
        await end(process)
        await eventually(replica.dead.is_set)
        it.store.admit([replica])

        assert [0] == it.backends()


async def test_process_exit_without_engine_event_is_detected(
    it: Yard, process: Process, monkeypatch: pytest.MonkeyPatch
):
    """The engine is asked, and if it says nothing else, the kernel is right."""
    monkeypatch.setattr(module, "LATE", 0.0)
    replica = await running(it, process)
    async with ExitWatcher(it.store) as exit_watcher:
        await watched(exit_watcher, it, replica)
        await end(process)

        assert await replica.ended is None
    assert ["inspect"] == [call for call, _ in it.host.calls][-1:]
    assert ["a"] == it.dead


async def test_whom_the_engine_saw_dying_is_watched_no_more(it: Yard, process: Process):
    replica = await running(it, process)
    async with ExitWatcher(it.store) as exit_watcher:
        await watched(exit_watcher, it, replica)
        it.store.lose(replica, 0)
        await eventually(lambda: replica not in exit_watcher)
        exit_watcher.watch(replica)
        assert not exit_watcher._opening


async def test_known_replicas_are_watched_until_watcher_exits(
    it: Yard, process: Process
):
    replica = await running(it, process)
    await it.store.observe()
    exit_watcher = ExitWatcher(it.store)
    async with exit_watcher:
        await eventually(lambda: replica in exit_watcher)
    assert replica not in exit_watcher
    await end(process)
    await it.store.observe()
    assert not replica.dead.is_set()


async def test_descriptor_opened_while_watcher_exits_is_closed(
    it: Yard, process: Process, monkeypatch: pytest.MonkeyPatch
):
    """No descriptor stays behind."""
    opened: list[int] = []

    def open_slowly(pid: int, _: str) -> int:
        opened.append(os.pidfd_open(pid))
        return opened[0]

    monkeypatch.setattr(module, "open_process", open_slowly)
    await running(it, process)
    async with ExitWatcher(it.store):
        await it.store.observe()
    [descriptor] = opened
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_process_is_opened_only_if_in_container_cgroup():
    """Its number alone could be another's, here or elsewhere."""
    with subprocess.Popen(["sleep", "600"]) as process:
        [*_, group] = Path(f"/proc/{process.pid}/cgroup").read_text().split()
        descriptor = open_process(process.pid, group)
        assert descriptor
        assert ([], [], []) == select.select([descriptor], [], [], 0)
        assert open_process(process.pid, "0123456789abcdef" * 4) is None
        process.kill()
        process.wait()
        assert ([descriptor], [], []) == select.select([descriptor], [], [], 0)
    os.close(descriptor)
    assert open_process(process.pid, group) is None
