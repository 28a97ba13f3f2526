"""What operators say at the same time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.admin.handlers import Handlers
from dewy.errors import DeploymentError
from dewy.polling import Poller
from tests.standins.agents import acting


async def test_a_rollback_that_fails_takes_back_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with acting(tmp_path) as hands:
        agent = hands.agent
        poller = Poller(agent.tick, agent.reloadable, agent.clock)
        handlers = Handlers(agent, poller, None)
        for version in ("v1.0.0", "v1.1.0"):
            hands.publish(version)
            await poller.once()
        await agent.state_store.condemn(
            "v3", "c", "crashed", agent.clock, traffic=False
        )
        before = agent.state
        tried, goes_on = asyncio.Event(), asyncio.Event()

        async def fail(directory: str) -> None:
            tried.set()
            await goes_on.wait()
            raise DeploymentError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(hands.releases, "switch", fail)
            rollback = asyncio.create_task(handlers.handle("rollback", {}))
            await tried.wait()
            assert agent.state.is_bad(before.running)
            await handlers.handle("retry", {"version": "v3"})
            goes_on.set()
            with pytest.raises(DeploymentError):
                await rollback

        assert before.running == agent.state.running
        assert () == agent.state.quarantine.entries


async def test_a_rollback_is_announced(tmp_path: Path):
    async with acting(tmp_path) as hands:
        agent = hands.agent
        poller = Poller(agent.tick, agent.reloadable, agent.clock)
        for version in ("v1.0.0", "v1.1.0"):
            hands.publish(version)
            await poller.once()

        await Handlers(agent, poller, None).handle("rollback", {})

        assert "v1.0.0 runs" == hands.announced[-1]
