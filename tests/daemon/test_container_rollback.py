"""Going back in container mode, as it starts and where nothing is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from dewy.containers.engines.memory_host import MemoryHost
from dewy.deploy.state import StateFile
from dewy.system import Clock
from tests.eventually import eventually
from tests.standins.container_lives import Listing, alive, lose_image


async def condemn_running(root: Path, clock: Clock, by: str) -> None:
    """Write what a dewy has written that is killed as it leaves what runs."""
    file = StateFile(root / ".dewy")
    state = await asyncio.to_thread(file.read)
    assert state is not None
    assert state.running is not None
    bad = (state.running.tag, state.running.identity, "left", clock)
    quarantine = state.quarantine.add(*bad, traffic=True, by=by)
    await asyncio.to_thread(file.write, replace(state, quarantine=quarantine))


async def test_operators_rollback_cut_short_is_finished_at_the_next_start(
    tmp_path: Path, host: MemoryHost
):
    """`kill -9` came after the quarantine; what was left serves until the end."""
    async with alive(tmp_path, host, on_exit="leave") as life:
        await life.see("v1")
        await life.see("v2")
        await life.replica_set.drainer.ended()
        registry, clock = life.registry, life.handlers.agent.clock
    await condemn_running(tmp_path, clock, by="operator")
    served: list[int] = []

    async def watch(phase: str, call: str, subject: str) -> None:
        if phase == "before" and call == "stop":
            served.append(life.serving.count("v1"))

    host.hook = watch
    async with alive(tmp_path, host, registry) as life:
        assert ["v2"] * 2 == life.serving
        await life.handlers.poller.once()
        await eventually(lambda: ["v1"] * 2 == life.serving and len(host.held) == 2)
        host.hook = None
        after = life.handlers.agent.state

        assert after.running is not None
        assert ("v1", "rolled back by operator") == (after.running.tag, after.because)
        assert [2, 2] == served


async def test_rollback_is_not_finished_where_dewy_itself_condemned_the_version(
    tmp_path: Path, host: MemoryHost
):
    """Nothing could be put back then, so that it is all there is."""
    async with alive(tmp_path, host, on_exit="leave") as life:
        await life.see("v1")
        await life.see("v2")
        clock = life.handlers.agent.clock
    await condemn_running(tmp_path, clock, by="")
    async with alive(tmp_path, host) as life:
        running = life.handlers.agent.state.running

        assert running is not None
        assert "v2" == running.tag


async def test_finished_rollback_passes_over_a_version_whose_image_is_gone(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host, on_exit="leave") as life:
        for tag in ("v1", "v2", "v3"):
            await life.see(tag)
        await life.replica_set.drainer.ended()
        await lose_image(life, "v2")
        registry, clock = life.registry, life.handlers.agent.clock
    await condemn_running(tmp_path, clock, by="operator")
    async with alive(tmp_path, host, registry) as life:
        await life.handlers.poller.once()
        await eventually(lambda: ["v1"] * 2 == life.serving)


async def test_next_candidate_follows_a_first_release_that_dies_in_probation(
    tmp_path: Path, host: MemoryHost
):
    async with alive(
        tmp_path, host, registry=Listing(host, "v1.0.0", "v1.1.0")
    ) as life:
        await life.handlers.poller.once()
        assert ["v1.1.0"] * 2 == life.serving
        await host.kill(life.replica_set.deployer.store.serving[0].id, 1)
        state = life.handlers.agent.state_store
        await eventually(lambda: state.state.is_stopgap)
        await life.handlers.poller.once()

        await eventually(lambda: ["v1.0.0"] * 2 == life.serving)
