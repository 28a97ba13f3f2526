"""An agent with two versions deployed, its operator's verbs, and gates in its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dewy.deploy.hooks import DeployHooks
from dewy.operations import Operations
from tests.standins.agents import Hands, acting


class Gate:
    """Holds up whoever comes to it until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, *_: object, **__: object) -> None:
        self.reached.set()
        await self.opened.wait()


class Site:
    """An agent with v1.0.0 and v1.1.0 deployed, and its verbs."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.agent = hands.agent
        self.operations = Operations(hands.agent)
        self.said: list[str] = []

    @property
    def running(self) -> str:
        running = self.agent.state.running
        return running.name if running else ""

    def quarantined(self) -> list[str]:
        return [entry.tag for entry in self.agent.state.quarantine]

    async def roll_back(self, version: str | None = None) -> str:
        return await self.operations.roll_back(version, self.said.append)

    async def deploy(self, version: str | None = None) -> str:
        return await self.operations.deploy(version, self.said.append)


@asynccontextmanager
async def sited(tmp_path: Path, **settings: Any) -> AsyncIterator[Site]:
    async with acting(tmp_path, **settings) as hands:
        for version in ("v1.0.0", "v1.1.0"):
            hands.publish(version)
            await hands.tick()
        yield Site(hands)


@asynccontextmanager
async def deploying(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str = "before"
) -> AsyncIterator[tuple[asyncio.Task[None], Gate]]:
    """A poll that brings v1.2.0 up and waits at a hook."""
    gate = Gate()
    with monkeypatch.context() as patched:
        patched.setattr(DeployHooks, name, gate)
        site.hands.publish("v1.2.0")
        task = asyncio.create_task(site.agent.tick())
        await gate.reached.wait()
        yield task, gate
        gate.opened.set()
        await asyncio.wait({task})
