"""One command, whether a dewy runs or not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dewy.admin import operate
from dewy.admin.control import ControlServer
from dewy.config import Settings
from dewy.deploy.state import StateFile
from dewy.errors import ConfigError, DewyError
from dewy.system import Clock


class Dewy:
    """What a running dewy was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def handle(
        self, verb: str, args: dict[str, Any], *_: object
    ) -> dict[str, Any]:
        self.asked.append((verb, args))
        return {"name": "live"} if verb == "status" else {"message": f"did {verb}"}


async def wanted(settings: Settings) -> str:
    state = await asyncio.to_thread(StateFile(settings.private).read)
    assert state is not None
    return state.wanted


@pytest.fixture
def dewy() -> Dewy:
    return Dewy()


async def test_running_dewy_does_it(worked: Settings, dewy: Dewy, clock: Clock) -> None:
    """And the state is its own affair."""
    async with ControlServer(worked.private / "admin.sock", dewy.handle):
        status = await operate.look(worked, clock)
        done = await operate.operate(worked, "deploy", "v9", clock)

    assert {"name": "live"} == status
    assert "did deploy" == done
    assert ("deploy", {"version": "v9"}) == dewy.asked[-1]
    assert "" == await wanted(worked)


async def test_without_a_dewy_the_state_is_changed(
    worked: Settings, clock: Clock
) -> None:
    """So that hosts can be prepared while they are down."""
    assert "app" == (await operate.look(worked, clock))["name"]
    assert "v9" in await operate.operate(worked, "deploy", "v9", clock)
    assert "v9" == await wanted(worked)


async def test_deploy_without_a_dewy_needs_a_registry(
    worked: Settings, clock: Clock
) -> None:
    """What is to be deployed has to come from somewhere; the rest is here."""
    nowhere = replace(worked, registry="")
    with pytest.raises(ConfigError, match="deploy needs a registry"):
        await operate.operate(nowhere, "deploy", "v9", clock)

    assert "held" in await operate.operate(nowhere, "hold", None, clock)


async def test_running_dewy_may_refuse(worked: Settings) -> None:
    """Then nothing is done behind its back."""

    async def refuses(*_: object) -> dict[str, Any]:
        raise DewyError("busy")

    async with ControlServer(worked.private / "admin.sock", refuses):
        with pytest.raises(DewyError, match="busy"):
            await operate.operate(worked, "hold")
        with pytest.raises(DewyError, match="busy"):
            await operate.look(worked)
