"""Engines that do as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dewy.containers.engines.client import EngineClient, connected
from dewy.containers.engines.docker import DockerEngine, recognised
from dewy.containers.engines.opening import EngineAddress, EngineDeadlines
from tests.standins.fake_engine import FakeEngine

SHORT = EngineDeadlines(
    hello=2.0,
    look=0.5,
    change=0.5,
    margin=0.5,
    health=0.5,
    silence=0.5,
    quiet=0.2,
    backoff=0.1,
)
"""Deadlines for engines that hang."""


@pytest.fixture
async def fake() -> AsyncIterator[FakeEngine]:
    """An engine's socket, without an engine."""
    async with FakeEngine() as server:
        yield server


@pytest.fixture
async def wire(fake: FakeEngine) -> AsyncIterator[EngineClient]:
    """The connection to it, with short deadlines."""
    async with connected(EngineAddress(fake.url), "Docker", {}, SHORT) as made:
        yield made


@pytest.fixture
async def docker(wire: EngineClient) -> DockerEngine:
    """What dewy takes it for."""
    return await recognised(wire, systemd=False, linux=True)


@pytest.fixture(autouse=True)
def _nothing_is_left_to_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be done is done when it is known, not half a minute later."""
    monkeypatch.setattr("dewy.containers.reconciler.LOOKS", 3600.0)
