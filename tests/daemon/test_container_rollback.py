"""Going back in container mode, as it starts and where nothing is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.admin.operate import operate
from dewy.config import Settings
from dewy.daemon import container
from dewy.deploy.state import StateFile
from dewy.operations import Operations
from dewy.system import Clock
from tests.eventually import eventually
from tests.standins.container_lives import Listing, Names, alive, lose_image
from tests.standins.crews import REPOSITORY, Halt
from tests.standins.memory_host import MemoryHost


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


async def three(tmp_path: Path, host: MemoryHost) -> Names:
    """Deploy v1, v2 and v3 and end; v2's image is gone, here and in the registry."""
    async with alive(tmp_path, host) as life:
        for tag in ("v1", "v2", "v3"):
            await life.see(tag)
        await life.replica_set.drainer.ended()
        await lose_image(life, "v2")
        return life.registry


async def test_earlier_version_serves_until_missing_image_is_fetched(
    tmp_path: Path, host: MemoryHost, caplog: pytest.LogCaptureFixture
):
    """As after a rollback while no dewy ran; until the image can be had again."""
    async with alive(tmp_path, host) as life:
        for tag in ("v1", "v2"):
            await life.see(tag)
        registry, published = life.registry, dict(host.registry)
        await life.replica_set.drainer.ended()
        await lose_image(life, "v2")
    newest, registry.release = registry.release, None
    async with alive(tmp_path, host, registry) as life:
        await life.handlers.poller.once()
        await eventually(lambda: ["v1"] * 2 == life.serving, 20)
        agent = life.handlers.agent
        answer = await life.handlers.status()

        assert agent.state.running is not None
        assert agent.state.gone is not None
        assert ("v1", "v2") == (agent.state.running.tag, agent.state.gone.tag)
        assert "v2 is gone from this host until it is fetched" in answer["degraded"]
        assert "Image is gone, an earlier version serves" in caplog.text

        host.registry.update(published)
        registry.release = newest
        await life.handlers.poller.once()
        await eventually(lambda: ["v2"] * 2 == life.serving, 20)
        assert agent.state.gone is None


async def test_earlier_version_serves_if_running_image_is_removed(
    tmp_path: Path, host: MemoryHost, monkeypatch: pytest.MonkeyPatch
):
    async with alive(tmp_path, host, probation=0.0) as life:
        for tag in ("v1", "v2"):
            await life.see(tag)
        life.registry.release = None
        await life.replica_set.drainer.ended()
        await lose_image(life, "v2")
        for replica in list(life.replica_set.deployer.store.serving):
            await host.kill(replica.id)

        await eventually(lambda: ["v1"] * 2 == life.serving, 20)


async def test_pull_that_hangs_while_nothing_serves_makes_way_for_an_image_here(
    tmp_path: Path, host: MemoryHost, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dewy.containers.running_version.PATIENCE", 0.1)
    async with alive(tmp_path, host) as life:
        for tag in ("v1", "v2"):
            await life.see(tag)
        await life.replica_set.drainer.ended()
        digest = life.replica_set.deployer.store.serving[0].digest
        image = host.registry[f"{REPOSITORY}@{digest}"].image
    host.images.pop(image.id)
    host.hook = Halt("before", "pull")
    async with alive(tmp_path, host) as life:
        await life.handlers.poller.once()
        await eventually(lambda: ["v1"] * 2 == life.serving, 20)


async def test_rollback_without_a_dewy_takes_the_version_whose_image_is_here(
    tmp_path: Path, host: MemoryHost, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dewy.admin.images_away.open_engine", container.open_engine)
    registry = await three(tmp_path, host)
    registry.release = None
    settings = Settings(
        command="container",
        registry=f"img://{REPOSITORY}",
        root=tmp_path,
        cache_dir=tmp_path / ".dewy" / "cache",
    )
    told = await operate(settings, "rollback")
    async with alive(tmp_path, host, registry) as life:
        await life.handlers.poller.once()
        await eventually(lambda: ["v1"] * 2 == life.serving, 20)

    assert told.startswith("rolled back to v1; passed over, for not on this host: v2;")


async def test_rollback_takes_the_version_whose_image_is_here(
    tmp_path: Path, host: MemoryHost
):
    async with alive(tmp_path, host) as life:
        for tag in ("v1", "v2", "v3"):
            await life.see(tag)
        await life.replica_set.drainer.ended()
        await lose_image(life, "v2")
        told = await Operations(life.handlers.agent).roll_back(None, print)

        assert told.startswith(
            "rolled back to v1; passed over, for not on this host: v2;"
        )
        await eventually(lambda: ["v1"] * 2 == life.serving, 20)
