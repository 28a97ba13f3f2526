"""What a running dewy answers to operators."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dewy.admin.handlers import Handlers
from dewy.deploy.hooks import DeployHooks
from dewy.deploy.releases import Releases
from dewy.deploy.state import State, StateFile
from dewy.deploy.verbs import BY_OPERATOR
from dewy.errors import ArchiveError, DeploymentError, DewyError, RemoteError
from dewy.polling import Poller
from tests.eventually import eventually
from tests.standins.agents import BEGUN, Hands, acting


@dataclass
class Answering:
    """The control socket's other end, and what moves the world behind it."""

    hands: Hands
    poller: Poller
    handlers: Handlers

    async def ask(self, verb: str, version: str | None = None) -> dict[str, Any]:
        return await self.handlers.handle(verb, {"version": version})

    async def say(self, verb: str, version: str | None = None) -> str:
        return str((await self.ask(verb, version))["message"])


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Answering]:
    """v1.1.0 runs, v1.0.0 ran before."""
    async with acting(tmp_path) as hands:
        agent = hands.agent
        poller = Poller(agent.tick, agent.reloadable, agent.clock, agent.deployment_log)
        for version in ("v1.0.0", "v1.1.0"):
            hands.publish(version)
            await poller.once()
        yield Answering(hands, poller, Handlers(agent, poller, None))


async def test_status_tells_all_there_is(site, tmp_path):
    status = await site.ask("status")

    assert ("v1.1.0", "v1.0.0") == (status["running"]["tag"], status["previous"]["tag"])
    assert (os.getpid(), str(tmp_path)) == (status["pid"], status["root"])
    assert (True, []) == (status["healthy"], status["degraded"])
    assert (BEGUN, "", []) == (
        status["last_poll"],
        status["last_error"],
        status["generations"],
    )


async def test_degraded_status_lists_reasons_with_quarantine(site, tmp_path):
    """The reason of a failed deployment once, with its quarantine."""
    site.hands.publish("v1.2.0", b"no archive")
    await site.poller.once()
    (tmp_path / "current").unlink()
    status = await site.ask("status")

    assert not status["healthy"]
    gone, kept_out = status["degraded"]
    assert "v1.1.0 does not run" == gone
    assert kept_out.startswith("v1.2.0 is in quarantine until")
    assert ": app.tar.gz" in kept_out


async def test_hold_and_unhold_wake_the_poller(site):
    """What was put off is done at once."""
    polling = asyncio.create_task(site.poller.run(asyncio.Event()))
    assert "held at v1.1.0" in await site.say("hold")
    site.hands.publish("v1.2.0")
    await eventually(lambda: "held at v1.1.0" in site.hands.agent.status_reason)
    await site.say("unhold")
    await eventually(lambda: site.hands.agent.state.running.tag == "v1.2.0")
    polling.cancel()
    await asyncio.wait({polling})


async def test_deployment_outdates_conclusion_of_earlier_poll(site):
    """With a long interval, `status` would say for hours that what runs is new."""
    assert "v1.1.0 runs" == (await site.ask("status"))["standing"]
    await site.say("deploy", "v1.0.0")

    assert "v1.0.0 runs" == (await site.ask("status"))["standing"]


async def test_rollback_in_probation_outdates_conclusion_of_last_poll(site):
    assert await site.hands.agent.judge("exit status 1", ())

    assert "v1.0.0 runs" == (await site.ask("status"))["standing"]


async def test_rollback_quarantines_replaced_version(site, tmp_path):
    """Written down first: a dewy killed in the middle must not bring it back."""
    site.hands.now += 60
    message = await site.say("rollback")

    assert message.startswith("rolled back to v1.0.0; v1.1.0 stays out")
    assert "v1.0.0" == (tmp_path / "current" / "VERSION").read_text()
    status = await site.ask("status")
    assert "v1.0.0 runs" == status["standing"]
    assert BEGUN + 60 == status["running"]["since"]
    state = site.hands.agent.state
    assert [("v1.1.0", None)] == [(e.tag, e.until) for e in state.quarantine]
    record = (await site.hands.history())[-1]
    assert ("rollback", "deployed", "v1.1.0") == (
        record.action,
        record.outcome,
        record.previous,
    )
    await site.poller.once()
    assert "v1.0.0" == state.running.tag == site.hands.agent.state.running.tag


async def test_retried_version_is_deployed_again(site):
    await site.ask("rollback")
    await site.ask("retry", "v1.1.0")
    await site.poller.once()

    assert "v1.1.0" == site.hands.agent.state.running.tag


async def test_a_rollback_that_fails_leaves_everything(site, monkeypatch):
    """Neither version is kept out for it."""

    async def refuse(*_: object) -> None:
        raise DeploymentError("it crashed")

    before = site.hands.agent.state
    monkeypatch.setattr(Releases, "switch", refuse)
    with pytest.raises(DeploymentError, match="it crashed"):
        await site.ask("rollback")

    assert before == site.hands.agent.state
    record = (await site.hands.history())[-1]
    assert ("rollback", "failed", "start", "it crashed") == (
        record.action,
        record.outcome,
        record.step,
        record.reason,
    )


async def test_deploy_acts_without_waiting_for_the_poll(site):
    assert "v1.1.0 runs" == await site.say("deploy")
    site.hands.publish("v1.2.0")

    assert "v1.2.0 runs" == await site.say("deploy")
    assert "v1.2.0" == site.hands.agent.state.running.tag


async def test_deploy_of_older_version_sets_hold(site):
    message = await site.say("deploy", "v1.0.0")
    assert "v1.0.0 runs and is held, for v1.1.0 is newer" == message
    await site.poller.once()

    assert "v1.0.0" == site.hands.agent.state.running.tag
    with pytest.raises(DewyError, match="on hold"):
        await site.ask("deploy")


async def test_quarantined_version_is_attempted_only_by_name(site):
    """By name it is tried again; as the newest it is kept out."""
    site.hands.publish("v1.2.0", b"no archive")
    await site.poller.once()
    with pytest.raises(DewyError, match=r"v1\.2\.0 is in quarantine"):
        await site.ask("deploy")
    with pytest.raises(ArchiveError):
        await site.ask("deploy", "v1.2.0")

    entry = next(iter(site.hands.agent.state.quarantine))
    assert 2 == entry.failures


async def test_deploy_tells_why_there_is_nothing(site):
    site.hands.store.fail("current", RemoteError("503"))
    with pytest.raises(RemoteError, match="503"):
        await site.ask("deploy")


@pytest.mark.parametrize(
    ("verb", "version", "why"),
    [
        ("retry", "v1.0.0", "not in quarantine"),
        ("retry", None, "not in quarantine"),
        ("rollback", "v9", "not on this host"),
        ("reboot", None, "does not know 'reboot'"),
    ],
)
async def test_invalid_verb_or_version_leaves_state_unchanged(site, verb, version, why):
    before = site.hands.agent.state
    with pytest.raises(DewyError, match=why):
        await site.ask(verb, version)

    assert before == site.hands.agent.state


async def test_a_change_under_way_is_told(site, monkeypatch):
    """While it lasts; not once it is over, in whatever way."""
    steps, ids, reasons = [], [], []

    def watched(owner: type, name: str) -> None:
        original = getattr(owner, name)

        async def call(*args: Any) -> None:
            underway = (await site.ask("status"))["underway"]
            ids.append(underway.pop("id"))
            reasons.append(underway.pop("why"))
            steps.append(underway)
            site.hands.now += 5
            await original(*args)

        monkeypatch.setattr(owner, name, call)

    watched(DeployHooks, "before")
    watched(Releases, "switch")
    site.hands.publish("v1.2.0")
    await site.poller.once()
    await site.say("rollback")
    begun = {"tag": "v1.2.0", "previous": "v1.1.0", "action": "deploy", "since": BEGUN}
    hook = "running the before-deploy hook"
    back = {"tag": "v1.1.0", "previous": "v1.2.0", "action": "rollback"}

    assert [
        {**begun, "step": "before-hook", "progress": hook},
        {**begun, "step": "start", "progress": "starting v1.2.0"},
        {**back, "since": BEGUN + 10, "step": "start", "progress": "starting v1.1.0"},
    ] == steps
    assert ["", "", BY_OPERATOR] == reasons
    *_, deployed, back = await site.hands.history()
    assert [deployed.id, deployed.id, back.id] == ids
    assert (await site.ask("status"))["underway"] is None
    site.hands.publish("v1.3.0", b"no archive")
    await site.poller.once()
    assert (await site.ask("status"))["underway"] is None


def fill(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: StateFile, state: State) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(StateFile, "write", refuse)


@pytest.mark.parametrize("verb", ["rollback", "hold", "unhold", "retry"])
async def test_full_disk_does_not_keep_verbs_from_acting(
    site, tmp_path, monkeypatch, verb
):
    """They act in memory, say so, and are written as soon as there is room."""
    if verb == "retry":
        await site.ask("rollback")
    if verb == "unhold":
        await site.ask("hold")
    with monkeypatch.context() as patched:
        fill(patched)
        message = await site.say(verb, "v1.1.0" if verb == "retry" else None)
        degraded = (await site.ask("status"))["degraded"]
    after = site.hands.agent.state
    await site.hands.agent.state_store.flush()

    trouble = (
        f"could not be written to {tmp_path}/.dewy/state.json (No space left on "
        "device): free space, it is written at the next poll"
    )
    assert message.endswith(f"; but it {trouble}")
    assert [f"the state {trouble}"] == degraded
    assert [] == (await site.ask("status"))["degraded"]
    assert (verb == "hold") == after.hold
    assert ("v1.1.0" if verb in ("hold", "unhold") else "v1.0.0") == after.running.tag
    assert after == await asyncio.to_thread(StateFile(tmp_path / ".dewy").read)


async def test_full_disk_keeps_new_version_from_taking_over(
    site, tmp_path, monkeypatch
):
    """It has to be on record before what runs is left."""
    site.hands.publish("v1.2.0")
    with monkeypatch.context() as patched:
        fill(patched)
        with pytest.raises(OSError, match="No space left"):
            await site.ask("deploy")

    assert "v1.1.0" == site.hands.agent.state.running.tag
    assert "v1.1.0" == (tmp_path / "current" / "VERSION").read_text()


async def test_follow_up_is_told_while_it_lasts(
    site: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deployment itself is over by then."""
    told: list[dict[str, Any]] = []
    after = DeployHooks.after

    async def watched(*args: Any, **more: Any) -> None:
        told.append(await site.ask("status"))
        await after(*args, **more)

    monkeypatch.setattr(DeployHooks, "after", watched)
    site.hands.publish("v1.2.0")
    await site.poller.once()
    await site.hands.agent.follow_up.finished()

    (status,) = told
    follow_up = status["follow_up"]
    assert (None, "v1.2.0") == (status["underway"], follow_up["tag"])
    assert ("deploy", "after-hook") == (follow_up["action"], follow_up["step"])
    assert (await site.ask("status"))["follow_up"] is None
