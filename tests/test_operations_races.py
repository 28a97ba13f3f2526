"""Verbs said at the moment in which something ends: what they answer is true."""

from __future__ import annotations

import asyncio
import errno

import pytest

from dewy.admin.handlers import Handlers
from dewy.deploy.hooks import DeployHooks
from dewy.deploy.releases import Trial
from dewy.deploy.state import StateFile
from dewy.errors import DeploymentError, DewyError, NotYet
from dewy.follow_up import Tidier
from dewy.operations import Operations
from dewy.polling import Poller
from tests.eventually import eventually
from tests.standins.agents import acting
from tests.standins.sites import Gate, Site, deploying, sited


def looks_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Have looks for what is newest wait at the gate, which is returned."""
    gate, find = Gate(), type(site.agent)._find

    async def waits(agent, state):
        await gate()
        return await find(agent, state)

    monkeypatch.setattr(type(site.agent), "_find", waits)
    return gate


async def test_unhold_said_while_a_named_deployment_settles_stays(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        gate = looks_wait(site, monkeypatch)
        asked = asyncio.create_task(site.deploy("v1.0.0"))
        await gate.reached.wait()
        assert site.agent.state.hold
        agent = site.agent
        poller = Poller(agent.tick, agent.reloadable, agent.clock)
        await Handlers(agent, poller).handle("unhold", {})
        gate.opened.set()

        assert "v1.0.0 runs" == await asked
        assert not site.agent.state.hold


async def test_deploy_while_previous_deploy_settles_takes_effect(tmp_path, monkeypatch):
    """Nobody had said `hold`."""
    async with sited(tmp_path) as site:
        gate = looks_wait(site, monkeypatch)
        site.hands.publish("v1.2.0")
        first = asyncio.create_task(site.deploy("v1.0.0"))
        await gate.reached.wait()
        second = asyncio.create_task(site.deploy("v1.2.0"))
        await eventually(lambda: second.done() or "v1.2.0" == site.running)
        gate.opened.set()

        assert "v1.2.0 runs" == await second
        with pytest.raises(DewyError, match=r"v1\.0\.0 was left again"):
            await first
        assert not site.agent.state.hold


async def test_named_version_deployed_by_poll_is_held_if_newer_exists(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (poll, gate):
        asked = asyncio.create_task(site.deploy("v1.2.0"))
        await eventually(lambda: any("already" in said for said in site.said))
        site.hands.publish("v1.3.0")
        gate.opened.set()
        await poll

        assert "v1.2.0 runs and is held, for v1.3.0 is newer" == await asked
        assert site.agent.state.hold


async def test_version_above_polled_newest_is_held(tmp_path, monkeypatch):
    """Regression: the answer called the older version the newer one."""
    async with sited(tmp_path) as site:
        v110 = await site.agent.look()
        site.hands.publish("v1.2.0")

        look = type(site.agent).look

        async def filtered(self, tag=None):
            return v110 if tag is None else await look(self, tag)

        monkeypatch.setattr(type(site.agent), "look", filtered)

        answer = "v1.2.0 runs and is held, for polls find v1.1.0"
        assert answer == await site.deploy("v1.2.0")


async def test_poll_during_deployment_leaves_no_conclusion(tmp_path, monkeypatch):
    """Regression: until the next poll, `status` said that v1.2.0 is being deployed."""
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        gate = Gate()
        monkeypatch.setattr(DeployHooks, "before", gate)
        asked = asyncio.create_task(site.deploy("v1.2.0"))
        await gate.reached.wait()
        await site.agent.tick()
        await site.operations.abort()
        await asyncio.wait({asked})

        assert "being deployed" not in site.agent.status_reason


async def test_client_that_leaves_at_the_commit_leaves_no_hold_at_the_newest(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        gate, record = Gate(), site.agent.deployment_log.record

        async def waits(*args, **more):
            await gate()
            await record(*args, **more)

        monkeypatch.setattr(site.agent.deployment_log, "record", waits)
        site.hands.publish("v1.2.0")
        asked = asyncio.create_task(site.deploy("v1.2.0"))
        await gate.reached.wait()
        assert site.agent.state.hold
        asked.cancel()
        gate.opened.set()
        await asyncio.wait({asked})
        await site.agent.follow_up.finished()

        assert ("v1.2.0", False) == (site.running, site.agent.state.hold)


async def test_hold_lets_the_first_deployment_go_on(tmp_path, monkeypatch):
    async with acting(tmp_path) as hands:
        gate = Gate()
        monkeypatch.setattr(DeployHooks, "before", gate)
        hands.publish("v1.0.0")
        poll = asyncio.create_task(hands.agent.tick())
        await gate.reached.wait()

        answer = await Operations(hands.agent).hold()
        gate.opened.set()
        await poll

        assert "held, but nothing runs: the first release is still deployed" in answer
        assert "cancelled" not in answer
        assert "v1.0.0" == hands.agent.state.running.name


@pytest.mark.parametrize("verb", ["abort", "hold"])
async def test_deployment_that_has_failed_is_not_taken_for_cancelled(
    verb: str, tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        gate = Gate()

        async def fails(*_: object) -> None:
            raise DeploymentError("exit status 1")

        monkeypatch.setattr(DeployHooks, "before", fails)
        monkeypatch.setattr(Tidier, "tidy", lambda *_, **__: gate())
        site.hands.publish("v1.2.0")
        poll = asyncio.create_task(site.agent.tick())
        await gate.reached.wait()
        asked = asyncio.create_task(getattr(site.operations, verb)())
        await eventually(lambda: site.agent.changes.pending.cancelled)
        gate.opened.set()

        assert "deployment of v1.2.0 had failed" in await asked
        await asyncio.wait({poll})
        record = (await site.hands.history())[-1]
        assert ("v1.2.0", "failed") == (record.tag, record.outcome)
        assert ["v1.2.0"] == site.quarantined()


async def test_failed_rollback_is_undone_despite_concurrent_abort(
    tmp_path, monkeypatch
):
    """What runs must not stay in quarantine."""
    async with sited(tmp_path) as site:
        gate, store = Gate(), site.agent.state_store

        async def fails(trial: Trial) -> None:
            monkeypatch.setattr(store, "note", noted)
            raise DeploymentError("no such directory")

        async def noted(transition):
            await gate()
            return await type(store).note(store, transition)

        monkeypatch.setattr(Trial, "place", fails)
        first = asyncio.create_task(site.roll_back())
        await gate.reached.wait()
        abort = asyncio.create_task(site.operations.abort())
        await eventually(lambda: site.agent.changes.pending.cancelled)
        gate.opened.set()

        assert "the rollback to v1.0.0 had failed: no such directory" in await abort
        await asyncio.wait({first})
        assert ("v1.1.0", []) == (site.running, site.quarantined())


async def test_version_kept_out_before_its_deployment_begins_is_not_started(
    tmp_path, monkeypatch
):
    """As by a rollback, while another change is undone; who names it gets it."""
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        run = site.agent.changes.run

        async def late(change, work, preempt=""):
            await site.operations._keep_out(change.release)
            return await run(change, work, preempt)

        monkeypatch.setattr(site.agent.changes, "run", late)
        with pytest.raises(NotYet, match=r"v1\.2\.0 is in quarantine"):
            await site.deploy()
        assert "v1.1.0" == site.running
        assert "v1.2.0 runs" == await site.deploy("v1.2.0")


@pytest.mark.parametrize("verb", ["abort", "hold", "roll_back"])
async def test_deployment_whose_commit_the_disk_refused_is_not_taken_for_committed(
    verb: str, tmp_path, monkeypatch
):
    """Verbs waited for its undoing, which may take minutes, to its end."""
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        gate = Gate()

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        undo = Trial.undo

        async def slow(trial: Trial) -> None:
            monkeypatch.setattr(StateFile, "write", write)
            await gate()
            await undo(trial)

        write = StateFile.write
        monkeypatch.setattr(StateFile, "write", full)
        monkeypatch.setattr(Trial, "undo", slow)
        poll = asyncio.create_task(site.agent.tick())
        await gate.reached.wait()
        said = {"abort": site.operations.abort, "hold": site.operations.hold}
        asked = asyncio.create_task(said.get(verb, site.roll_back)())
        await eventually(lambda: asked.done() or _is_cancelled(site))
        gate.opened.set()
        answer = await asked
        await asyncio.wait({poll})

        assert "v1.2.0" in answer
        assert "too late" not in answer
        assert "v1.1.0" == site.running


def _is_cancelled(site: Site) -> bool:
    pending = site.agent.changes.pending
    return pending is None or bool(pending.cancelled)
