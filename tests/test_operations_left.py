"""Versions that were left, or asked for by name: what becomes of them afterwards."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

import pytest

from dewy.deploy.state import StateFile
from dewy.errors import DewyError
from tests.standins.sites import Gate, sited
from tests.standins.unlisted import unlisted


async def test_named_release_whose_files_are_gone_is_not_gone_back_to(tmp_path):
    async with sited(tmp_path) as site:
        gone = site.agent.state.find("v1.0.0")
        shutil.rmtree(tmp_path / "releases" / gone.directory)

        with pytest.raises(DewyError, match=r"files of v1\.0\.0 are gone"):
            await site.roll_back("v1.0.0")
        assert ("v1.1.0", []) == (site.running, site.quarantined())


async def test_release_left_without_a_name_does_not_come_back(tmp_path):
    """What the original deployed: nothing but a hold keeps the same bytes out."""
    async with sited(tmp_path) as site:
        running = site.agent.state.running
        unnamed = replace(running, tag="", identity="")
        await site.agent.state_store.note(lambda s: s.renamed(running, unnamed))

        assert "rolled back to v1.0.0; held" in await site.roll_back()
        await site.hands.tick()
        assert "v1.0.0" == site.running
        assert site.agent.status_reason.startswith("held at v1.0.0")


async def test_deploy_of_running_version_lifts_its_quarantine(tmp_path):
    """The next start would go back from it otherwise."""
    async with sited(tmp_path) as site:
        running, clock = site.agent.state.running, site.agent.clock
        left = (running.tag, running.identity, "left", clock)
        await site.agent.state_store.condemn(*left, traffic=True, by="operator")

        assert "v1.1.0 runs" == await site.deploy("v1.1.0")
        assert ("v1.1.0", []) == (site.running, site.quarantined())


@pytest.mark.parametrize(("version", "held"), [("v1.2.0", False), ("v1.0.0", True)])
async def test_hold_that_a_stop_left_undecided_is_decided_by_the_next_poll(
    version: str, held: bool, tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        with monkeypatch.context() as patched:
            gate = Gate()
            patched.setattr(type(site.agent), "_find", gate)
            asked = asyncio.create_task(site.deploy(version))
            await gate.reached.wait()
            asked.cancel()
            await asyncio.wait({asked})
            await site.agent.follow_up.stop()
        file = StateFile(site.hands.private)
        site.agent.state_store.state = await asyncio.to_thread(file.read)
        assert (version, True) == (site.running, site.agent.state.hold)
        await site.hands.tick()

        assert (version, held) == (site.running, site.agent.state.hold)
        assert not site.agent.state.provisional


@pytest.mark.parametrize("version", [None, "v1.0.0"])
async def test_rollback_works_when_releases_cannot_be_listed(
    version: str | None, tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        with unlisted(monkeypatch):
            assert "rolled back to v1.0.0" in await site.roll_back(version)

        assert "v1.0.0" == (tmp_path / "current/VERSION").read_text()
