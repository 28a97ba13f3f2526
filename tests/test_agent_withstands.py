"""What the agent must not be led to: by faults, by bad timing, by operators."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress

import pytest

from dewy.deploy import verbs
from dewy.errors import ArchiveError, NotYet, RemoteError
from tests.eventually import eventually
from tests.standins.agents import acting


async def test_a_fault_in_a_deployment_is_a_failed_deployment(hands, monkeypatch):
    """Otherwise every look would fetch and unpack the same release once more."""
    hands.publish("v1.0.0")

    async def fault(*args: object) -> None:
        raise LookupError("not foreseen")

    monkeypatch.setattr(hands.releases, "switch", fault)
    with pytest.raises(LookupError):
        await hands.tick()
    await hands.tick()

    (record,) = await hands.history()
    assert ("failed", "LookupError: not foreseen") == (record.outcome, record.reason)
    assert frozenset() == await hands.releases.names()


async def test_a_release_that_cannot_be_brought_again_is_tried_ever_later(
    hands, tmp_path, monkeypatch
):
    hands.publish("v1.0.0")
    await hands.tick()
    shutil.rmtree((tmp_path / "current").resolve())

    async def refuse(*args: object) -> None:
        raise ArchiveError("broken")

    monkeypatch.setattr(hands.releases, "unpack", refuse)
    for _ in range(3):
        with suppress(ArchiveError, NotYet):
            await hands.tick()

    assert ["deployed", "failed"] == [r.outcome for r in await hands.history()]
    assert "v1.0.0 is in quarantine" in hands.agent.status_reason


async def test_deploy_by_name_is_held_when_registry_is_unavailable(hands, monkeypatch):
    """Whether it is the newest cannot be told, and the next look might undo it."""
    hands.publish("v1.0.0")
    named = await hands.agent.look("v1.0.0")

    async def away() -> None:
        raise RemoteError("503")

    monkeypatch.setattr(hands.agent.registry, "candidates", away)

    message = await hands.agent.deploy_wanted(named, named=True)

    assert "v1.0.0 runs and is held" in message
    assert hands.agent.state.hold


async def test_a_hold_said_while_a_release_is_on_its_way_holds(tmp_path):
    """The answer to the operator names what is held, so that must stay true."""
    hook = "test -e first && touch waits && sleep 0.2; touch first"
    async with acting(tmp_path, before_deploy_hook=hook) as hands:
        agent = hands.agent
        hands.publish("v1.0.0")
        await agent.tick()
        hands.publish("v1.1.0")
        tick = asyncio.create_task(agent.tick())
        await eventually((tmp_path / "waits").exists)
        await agent.state_store.change(lambda state: verbs.hold(state)[0])
        with pytest.raises(NotYet):
            await tick

        assert "v1.0.0" == agent.state.running.tag
        assert "held at v1.0.0; v1.1.0 waits" == agent.status_reason
        assert not list(agent.state.quarantine)
        assert {agent.state.running.directory} == await hands.releases.names()
