"""What the agent makes good, and what it does as it was told."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

import pytest

from dewy.deploy.state import State
from dewy.errors import NoRelease
from dewy.operations import Operations
from tests.eventually import eventually
from tests.standins.agents import acting, version
from tests.standins.unlisted import unlisted


async def test_an_older_version_that_was_asked_for_is_held(hands, tmp_path):
    """The next look would undo it."""
    hands.publish("v1.0.0")
    hands.publish("v1.1.0")
    await hands.agent.state_store.change(lambda state: replace(state, wanted="v1.0.0"))
    await hands.tick()
    await hands.tick()

    assert "v1.0.0" == version(tmp_path)
    assert (True, "") == (hands.agent.state.hold, hands.agent.state.wanted)


async def test_a_version_that_was_asked_for_and_is_not_there_is_forgotten(hands):
    """The newest one is deployed at the next look."""
    hands.publish("v1.0.0")
    await hands.agent.state_store.change(lambda state: replace(state, wanted="v9.0.0"))
    with pytest.raises(NoRelease):
        await hands.tick()
    await hands.tick()

    assert "v1.0.0" == hands.agent.state.running.tag


async def test_death_outside_probation_is_in_history(hands):
    """With how, and its last lines; nothing else keeps them."""
    hands.publish("v1.0.0")
    await hands.tick()
    hands.now += 3600
    assert not await hands.agent.judge("exit status 137", ("out of words",))

    last = (await hands.history())[-1]
    assert ("v1.0.0", "restart", "died") == (last.tag, last.action, last.outcome)
    assert ("exit status 137", ("out of words",)) == (last.reason, last.log_tail)


async def test_next_candidate_follows_a_first_release_that_dies_in_probation(hands):
    """It crash-looped for ever, though the registry had an older one."""
    hands.publish("v1.0.0")
    hands.publish("v1.1.0")
    await hands.tick()
    assert not await hands.agent.judge("exit status 9", ())
    await hands.tick()

    assert "v1.0.0" == hands.agent.state.running.tag
    assert "passed over: v1.1.0" in hands.agent.state.because
    await hands.tick()
    assert "v1.0.0" == hands.agent.state.running.tag
    assert hands.agent.status_reason.startswith("v1.1.0 is in quarantine")


async def test_first_release_that_dies_in_probation_runs_on_for_want_of_another(hands):
    hands.publish("v1.0.0")
    await hands.tick()
    assert not await hands.agent.judge("exit status 9", ())
    await hands.tick()

    assert "v1.0.0" == hands.agent.state.running.tag
    assert hands.agent.status_reason.startswith("v1.0.0 is in quarantine")
    hands.publish("v1.1.0")
    await hands.tick()
    assert "v1.1.0" == hands.agent.state.running.tag


async def test_hold_keeps_a_first_release_that_dies_in_probation(hands):
    hands.publish("v1.0.0")
    hands.publish("v1.1.0")
    await hands.tick()
    await hands.agent.state_store.note(lambda state: replace(state, hold=True))
    assert not await hands.agent.judge("exit status 9", ())
    await hands.tick()

    assert "v1.1.0" == hands.agent.state.running.tag


async def test_a_release_removed_by_hand_is_brought_again(hands, tmp_path):
    hands.publish("v1.0.0")
    await hands.tick()
    gone = (tmp_path / "current").resolve()
    (gone / "VERSION").unlink()
    gone.rmdir()
    await hands.tick()

    assert "v1.0.0" == version(tmp_path)


@pytest.mark.parametrize("held", [True, False])
async def test_release_removed_by_hand_is_brought_again_though_another_is_newest(
    hands, tmp_path, held
):
    """A root that was held, or rolled back, stayed down after the next death."""
    hands.publish("v1.0.0")
    await hands.tick()
    hands.publish("v1.1.0")
    await hands.tick()
    operations = Operations(hands.agent)
    await operations.roll_back("", lambda text: None)
    if held:
        await operations.hold()
    since = hands.agent.state.back_at
    gone = (tmp_path / "current").resolve()
    shutil.rmtree(gone)
    await hands.tick()

    assert "v1.0.0" == version(tmp_path)
    assert ("v1.0.0", since) == (
        hands.agent.state.running.tag,
        hands.agent.state.back_at,
    )


def stand_in(state: State) -> State:
    """v1.0.0 runs in place of what should, whose files are gone."""
    return state.present({each.directory for each in state.installed[-1:]})


@pytest.mark.parametrize("held", [True, False])
async def test_gone_release_that_another_stands_in_for_is_brought_again(
    hands, tmp_path, held
):
    """Also where it is not the newest: after a rollback, and under hold."""
    for each in ("v1.0.0", "v1.1.0", "v1.2.0"):
        hands.publish(each)
        await hands.tick()
    await Operations(hands.agent).roll_back("", lambda text: None)
    if held:
        await Operations(hands.agent).hold()
    await hands.agent.state_store.note(stand_in)
    state = hands.agent.state
    assert ("v1.0.0", "v1.1.0") == (state.running.tag, state.gone.tag)
    await hands.tick()

    assert "v1.1.0" == version(tmp_path)
    state = hands.agent.state
    assert ("v1.1.0", None, held) == (state.running.tag, state.gone, state.hold)
    assert state.back_at


async def test_held_fallback_is_not_replaced_by_missing_release(hands, tmp_path):
    for each in ("v1.0.0", "v1.1.0"):
        hands.publish(each)
        await hands.tick()
    await hands.agent.state_store.note(stand_in)
    await hands.agent.deployer.put_back(hands.agent.state.running)
    assert "held at v1.0.0" in await Operations(hands.agent).hold()
    await hands.tick()

    assert "v1.0.0" == version(tmp_path)
    assert "v1.0.0" == hands.agent.state.running.tag


async def test_a_link_removed_by_hand_is_made_again(hands, tmp_path):
    hands.publish("v1.0.0")
    await hands.tick()
    (tmp_path / "current").unlink()
    await hands.tick()

    assert "v1.0.0" == version(tmp_path)
    assert 1 == len(await hands.history())


async def test_missing_identity_of_running_release_is_filled_in(hands):
    """The same tag with other bytes is noticed from then on."""
    hands.publish("v1.0.0")
    await hands.tick()
    running = hands.agent.state.running
    unknown = replace(running, identity="")
    await hands.agent.state_store.change(lambda state: state.renamed(running, unknown))
    await hands.tick()

    assert running == hands.agent.state.running
    assert 1 == len(await hands.history())


async def test_cancelled_in_the_middle_nothing_has_changed(tmp_path):
    async with acting(tmp_path, before_deploy_hook="touch waits; sleep 60") as hands:
        hands.publish("v1.0.0")
        tick = asyncio.create_task(hands.tick())
        await eventually((tmp_path / "waits").exists)
        tick.cancel()
        await asyncio.wait({tick})

        assert tick.cancelled()
        assert None is hands.agent.state.running
        assert not list(hands.agent.state.quarantine)
        assert not (tmp_path / "releases").exists()


async def test_release_of_which_the_disk_does_not_tell_is_not_brought_again(
    hands, monkeypatch
):
    hands.publish("v1.0.0")
    await hands.tick()
    running = hands.agent.state.running
    with unlisted(monkeypatch), pytest.raises(OSError, match="Input/output"):
        await hands.tick()

    assert running == hands.agent.state.running
    assert 1 == len(await hands.history())
