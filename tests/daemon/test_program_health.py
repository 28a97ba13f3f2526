"""Unhealthy programs, while releases are deployed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from dewy.agent import Agent
from dewy.config import Endpoint, Settings
from dewy.daemon.program_health import ProgramHealth
from tests.standins import programs
from tests.standins.switching import renew
from tests.supervisor.conftest import Site, site

__all__ = ["site"]


class Judged:
    """An agent that has every failure answered by going back."""

    def __init__(self, root: Path) -> None:
        self.settings = Settings(
            command="server",
            root=root,
            cache_dir=root,
            health_path="/up",
            health_fall=1,
        )
        self.state = SimpleNamespace(running=None)
        self.judgements = asyncio.Event()

    async def judge(self, *_: Any) -> bool:
        self.judgements.set()
        return True


async def sickly(site: Site, version: str) -> tuple[Judged, ProgramHealth]:
    """Start *version*, which answers its health path badly from now on."""
    site.install(version, programs.SICKLY)
    await site.open()
    await site.supervisor.start()
    (site.root / "sick").touch()
    agent = Judged(site.root)
    endpoint = Endpoint("127.0.0.1", site.port)
    health = ProgramHealth(cast("Agent", agent), site.generations, endpoint)
    return agent, health


async def test_release_deployed_during_health_verdict_is_not_restarted(
    site: Site,
):
    """It was, without a health check."""
    agent, health = await sickly(site, "v1")
    async with site.generations.deploying:
        look = asyncio.create_task(health.look())
        await agent.judgements.wait()
        site.install("v2")
        await renew(site.generations)
    await look
    await health.look()

    await site.only(2)
    assert "v2" == await site.ask()


async def test_unhealthy_release_is_replaced_once_nothing_is_deployed(site: Site):
    _, health = await sickly(site, "v2")
    site.install("v1")
    async with site.generations.deploying:
        await health.look()
        assert "v2" == await site.ask()
    await health.look()

    await site.only(2)
    assert "v1" == await site.ask()
