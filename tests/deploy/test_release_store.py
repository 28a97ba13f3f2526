"""Artifacts unpacked into `releases/`: what is there, and what goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.deploy.release_store import UnpackedReleaseStore
from dewy.deploy.state import State
from tests.standins.agents import acting


async def test_fetched_release_can_be_installed(tmp_path: Path):
    async with acting(tmp_path) as hands:
        supply = hands.agent.release_store
        hands.publish("v1.0.0")
        release = await hands.agent.look()
        async with supply.brought(release) as delivery:
            target = await delivery.reserve(1_000_000_000.0)
            assert not await supply.has(target)
            await delivery.install(target)

        assert await supply.has(target)
        assert ("v1.0.0", release.identity, 1_000_000_000.0) == (
            target.tag,
            target.identity,
            target.at,
        )
        where = Path(supply.describe(target)["DEWY_RELEASE_DIR"])
        assert "v1.0.0" == await asyncio.to_thread((where / "VERSION").read_text)


async def test_release_absent_from_state_is_removed(tmp_path: Path):
    async with acting(tmp_path) as hands:
        hands.publish("v1.0.0")
        await hands.tick()
        running = hands.agent.state.running
        await hands.agent.release_store.retain(hands.agent.state, cached=True)
        assert await hands.agent.release_store.has(running)

        await hands.releases.withdraw()
        await hands.agent.release_store.retain(State(), cached=False)

        assert not await hands.agent.release_store.has(running)


async def test_a_disk_that_refuses_is_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with acting(tmp_path) as hands:

        async def refuse(keep: object) -> None:
            raise OSError("read-only file system")

        assert isinstance(hands.agent.release_store, UnpackedReleaseStore)
        monkeypatch.setattr(hands.releases, "prune", refuse)

        await hands.agent.release_store.retain(State(), cached=False)
