"""One command, whether a dewy runs or not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from dewy.admin import client, operate
from dewy.admin.control import ControlServer
from dewy.config import Settings
from dewy.deploy.lock import STARTING
from dewy.deploy.state import StateFile
from dewy.errors import ConfigError, DewyError
from dewy.system import Clock
from tests.eventually import turns
from tests.standins.roots import locked


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


async def test_commands_are_sent_to_running_dewy(
    worked: Settings, dewy: Dewy, clock: Clock
) -> None:
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


async def test_verb_reaches_dewy_that_opens_its_socket_later(
    worked: Settings, dewy: Dewy
) -> None:
    async with locked(worked.private, STARTING):
        holding = asyncio.create_task(operate.operate(worked, "hold"))
        await turns()
        async with ControlServer(worked.private / "admin.sock", dewy.handle):
            assert "did hold" == await holding


async def test_status_of_dewy_that_is_starting_is_that_on_disk(
    worked: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOMENT", 0.1)
    async with locked(worked.private, STARTING):
        status = await operate.look(worked)

    assert status["degraded"][0].endswith("is starting; try again")


async def test_verb_waits_for_another_that_has_the_root(worked: Settings) -> None:
    """Until its holder is written down, a lock names nobody that lives."""
    async with locked(worked.private):
        await asyncio.to_thread((worked.private / "lock").write_text, "")
        holding = asyncio.create_task(operate.operate(worked, "hold"))
        await asyncio.to_thread(time.sleep, 0.2)
    assert "held" in await holding
