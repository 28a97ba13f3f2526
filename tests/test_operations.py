"""Verbs that change the version of a dewy that runs: they act at once."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from dewy.admin.handlers import Handlers
from dewy.deploy.hooks import DeployHooks
from dewy.deploy.releases import Trial
from dewy.errors import DewyError
from dewy.polling import Poller
from tests.eventually import eventually
from tests.standins.sites import Gate, deploying, sited


async def test_hold_cancels_uncommitted_deployment(tmp_path, monkeypatch):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (poll, _):
        answer = await site.operations.hold()
        await poll

        assert "held at v1.1.0; " in answer
        assert "the deployment of v1.2.0 was cancelled" in answer
        assert ("v1.1.0", []) == (site.running, site.quarantined())
        await site.agent.follow_up.finished()
        record = (await site.hands.history())[-1]
        assert ("v1.2.0", "cancelled") == (record.tag, record.outcome)


async def test_hold_after_the_commit_names_the_new_version(tmp_path, monkeypatch):
    async with (
        sited(tmp_path) as site,
        deploying(site, monkeypatch, "after") as (poll, _),
    ):
        await poll

        assert "held at v1.2.0" in await site.operations.hold()


async def test_hold_said_while_the_new_version_gets_ready_wins(tmp_path, monkeypatch):
    """The commit looks at the state, whatever became of the cancellation."""
    async with sited(tmp_path) as site:
        store = site.agent.state_store
        place = Trial.place

        async def held(trial: Trial) -> None:
            await place(trial)
            await store.change(lambda state: replace(state, hold=True))

        with monkeypatch.context() as patched:
            patched.setattr(Trial, "place", held)
            site.hands.publish("v1.2.0")
            with pytest.raises(DewyError, match=r"held at v1\.1\.0; v1\.2\.0 waits"):
                await site.hands.tick()

        assert "v1.1.0" == site.running


async def test_rollback_cancels_and_quarantines_uncommitted_deployment(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (poll, _):
        answer = await site.roll_back()
        await poll

        assert answer.startswith("v1.2.0 was not deployed and stays out")
        assert "v1.1.0 keeps running" in answer
        assert ["cancelling the deployment of v1.2.0"] == site.said
        assert ("v1.1.0", ["v1.2.0"]) == (site.running, site.quarantined())
        assert ["operator"] == [entry.by for entry in site.agent.state.quarantine]

        assert "rolled back to v1.0.0" in await site.roll_back()
        assert ("v1.0.0", ["v1.2.0", "v1.1.0"]) == (site.running, site.quarantined())


async def test_rollback_to_version_cancels_running_deployment(tmp_path, monkeypatch):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (poll, _):
        answer = await site.roll_back("v1.0.0")
        await poll

        assert "rolled back to v1.0.0" in answer
        assert "v1.0.0" == site.running


async def test_rollback_does_not_wait_for_the_after_hook(tmp_path, monkeypatch):
    async with (
        sited(tmp_path) as site,
        deploying(site, monkeypatch, "after") as (poll, gate),
    ):
        await poll
        assert "v1.2.0" == site.running

        assert "rolled back to v1.1.0" in await site.roll_back()

        assert not gate.opened.is_set()
        assert "v1.1.0" == site.running


async def test_version_rolled_back_during_its_after_hook_is_not_announced(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        reports: list[str] = []

        async def report(deployment: Any) -> None:
            reports.append(deployment.release.tag)

        monkeypatch.setattr(site.agent.registry, "report", report)
        async with deploying(site, monkeypatch, "after") as (poll, gate):
            await poll
            await site.roll_back()
            gate.opened.set()
            await site.agent.follow_up.finished()

        assert ["v1.1.0"] == reports
        assert not [t for t in site.hands.told() if "Files switched for v1.2.0" in t]


async def test_rollback_runs_the_after_hook_with_its_outcome(tmp_path):
    hook = 'echo "$DEWY_OUTCOME $DEWY_TAG $DEWY_PREVIOUS_TAG" >> outcomes'
    async with sited(tmp_path, after_deploy_hook=hook) as site:
        await site.roll_back()
        await site.agent.follow_up.finished()

    lines = (tmp_path / "outcomes").read_text().splitlines()
    assert "rolled-back v1.0.0 v1.1.0" == lines[-1]


async def test_abort_cancels_without_quarantine(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:
        async with deploying(site, monkeypatch) as (poll, _):
            answer = await site.operations.abort()
            await poll

            assert answer.startswith("the deployment of v1.2.0 was aborted")
            assert ("v1.1.0", []) == (site.running, site.quarantined())
        await site.hands.tick()
        assert "v1.2.0" == site.running


async def test_abort_without_a_deployment_says_so(tmp_path):
    async with sited(tmp_path) as site:
        with pytest.raises(DewyError, match="nothing to abort"):
            await site.operations.abort()


async def test_deploy_of_version_in_progress_waits_for_result(tmp_path, monkeypatch):
    async with (
        sited(tmp_path) as site,
        deploying(site, monkeypatch) as (poll, gate),
    ):
        asked = asyncio.create_task(site.deploy())
        await eventually(lambda: len(site.said) == 2)
        gate.opened.set()

        assert "v1.2.0 runs" == await asked
        assert "running the before-deploy hook already" == site.said[1]
        await poll


async def test_deploy_of_another_version_takes_its_place(tmp_path, monkeypatch):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (poll, gate):
        asked = asyncio.create_task(site.deploy("v1.0.0"))
        await poll
        gate.opened.set()

        assert "v1.0.0 runs and is held" in await asked
        assert ("v1.0.0", []) == (site.running, site.quarantined())


async def test_verb_is_dropped_when_its_client_has_left(tmp_path, monkeypatch, caplog):
    async with sited(tmp_path) as site:
        gate = Gate()
        monkeypatch.setattr(Trial, "place", lambda trial: gate())
        asked = asyncio.create_task(site.roll_back())
        await gate.reached.wait()
        change = site.agent.changes.current
        asked.cancel()
        await eventually(lambda: change.cancelled)
        await asyncio.wait({asked})

        assert asked.cancelled()
        assert ("v1.1.0", []) == (site.running, site.quarantined())
        lines = {record.getMessage(): vars(record) for record in caplog.records}
        told = lines["Deployment cancelled"]
        assert ("v1.0.0", "start") == (told["tag"], told["step"])
        assert "its client disconnected" == told["reason"]


async def test_rollback_said_twice_at_a_time_goes_back_once(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:
        gate, place = Gate(), Trial.place

        async def waits(trial: Trial) -> None:
            await gate()
            await place(trial)

        monkeypatch.setattr(Trial, "place", waits)
        first = asyncio.create_task(site.roll_back())
        await gate.reached.wait()
        second = asyncio.create_task(site.roll_back())
        await eventually(lambda: "starting v1.0.0 already" in site.said)
        gate.opened.set()

        assert "rolled back to v1.0.0" in await first
        assert "v1.0.0 runs" == await second


async def test_newer_release_cancels_fetch_of_older_release(tmp_path, monkeypatch):
    async with sited(tmp_path, interval=0.01) as site:
        fetcher = site.agent.release_store._fetcher
        gate, staged = Gate(), fetcher.staged

        @asynccontextmanager
        async def trickles(release):
            if release.tag == "v1.2.0":
                await gate()
            async with staged(release) as artifact:
                yield artifact

        monkeypatch.setattr(fetcher, "staged", trickles)
        site.hands.publish("v1.2.0")
        poll = asyncio.create_task(site.hands.tick())
        await gate.reached.wait()
        site.hands.publish("v1.3.0")
        await poll

        assert ("v1.3.0", []) == (site.running, site.quarantined())


async def test_status_tells_the_progress_of_a_change(tmp_path, monkeypatch):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (_, gate):
        poller = Poller(site.agent.tick, site.agent.reloadable, site.agent.clock)
        underway = (await Handlers(site.agent, poller).status())["underway"]

        assert ("v1.2.0", "running the before-deploy hook") == (
            underway["tag"],
            underway["progress"],
        )
        gate.opened.set()


async def test_rollback_passes_over_a_release_whose_files_are_gone(tmp_path):
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        await site.hands.tick()
        gone = site.agent.state.find("v1.1.0")
        shutil.rmtree(tmp_path / "releases" / gone.directory)

        assert "rolled back to v1.0.0" in await site.roll_back()
        assert "v1.0.0" == site.running


async def test_hold_said_while_a_named_deployment_settles_stays(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        gate, find = Gate(), type(site.agent)._find

        async def waits(agent, state):
            await gate()
            return await find(agent, state)

        monkeypatch.setattr(type(site.agent), "_find", waits)
        asked = asyncio.create_task(site.deploy("v1.2.0"))
        await gate.reached.wait()
        assert "held at v1.2.0" in await site.operations.hold()
        gate.opened.set()

        assert "v1.2.0 runs and is held" in await asked
        assert site.agent.state.hold


@pytest.mark.parametrize("version", ["v1.2.0", None])
async def test_hold_said_while_a_deployment_asks_the_registry_lets_nothing_begin(
    version: str | None, tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        asking, hook, look = Gate(), Gate(), type(site.agent).look

        async def waits(agent, tag=None):
            await asking()
            return await look(agent, tag)

        monkeypatch.setattr(type(site.agent), "look", waits)
        monkeypatch.setattr(DeployHooks, "before", hook)
        deploy = asyncio.create_task(site.deploy(version))
        await asking.reached.wait()
        assert "held at v1.1.0" in await site.operations.hold()
        asking.opened.set()
        hook.opened.set()

        with pytest.raises(DewyError, match=r"held at v1\.1\.0; v1\.2\.0 waits"):
            await deploy
        assert not hook.reached.is_set()
        assert ("v1.1.0", []) == (site.running, site.quarantined())


async def test_deployment_of_the_newest_leaves_no_hold_when_its_client_leaves(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        gate, find = Gate(), type(site.agent)._find

        async def waits(agent, state):
            if site.running == "v1.2.0":
                await gate()
            return await find(agent, state)

        monkeypatch.setattr(type(site.agent), "_find", waits)
        asked = asyncio.create_task(site.deploy("v1.2.0"))
        await gate.reached.wait()
        asked.cancel()
        await asyncio.wait({asked})
        gate.opened.set()
        await site.agent.follow_up.finished()

        assert ("v1.2.0", False) == (site.running, site.agent.state.hold)


async def test_deployment_of_an_older_version_is_held_while_a_newer_is_on_its_way(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:

        async def nothing(agent, tag=None):
            return None if tag is None else await look(agent, tag)

        look = type(site.agent).look
        monkeypatch.setattr(type(site.agent), "look", nothing)

        assert "v1.0.0 runs and is held" in await site.deploy("v1.0.0")
        assert site.agent.state.hold


async def test_hold_during_rollback_names_resulting_version(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:
        gate, place = Gate(), Trial.place

        async def waits(trial: Trial) -> None:
            await gate()
            await place(trial)

        monkeypatch.setattr(Trial, "place", waits)
        rollback = asyncio.create_task(site.roll_back())
        await gate.reached.wait()
        hold = asyncio.create_task(site.operations.hold())
        await eventually(lambda: site.agent.state.hold)
        gate.opened.set()
        await rollback

        assert "held at v1.0.0" in await hold


async def test_rollback_quarantines_version_committed_meanwhile(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:
        store = site.agent.release_store
        gate, has = Gate(), store.has

        async def waits(installed):
            await gate()
            return await has(installed)

        monkeypatch.setattr(store, "has", waits)
        rollback = asyncio.create_task(site.roll_back())
        await gate.reached.wait()
        site.hands.publish("v1.2.0")
        await site.agent.tick()
        gate.opened.set()

        assert "rolled back to v1.1.0; v1.2.0 stays out" in await rollback
        assert ("v1.1.0", ["v1.2.0"]) == (site.running, site.quarantined())


async def test_release_gone_back_to_is_not_on_probation(tmp_path):
    async with sited(tmp_path) as site:
        await site.roll_back()

        assert site.agent.probation.left is None


async def test_deployment_cancelled_twice_records_first_reason(tmp_path, monkeypatch):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (poll, _):
        change = site.agent.changes.current
        change.cancel("first")
        change.cancel("second")
        await poll

        record = (await site.hands.history())[-1]
        assert ("cancelled", "first") == (record.outcome, record.reason)


async def test_rollback_of_deployment_tried_again_after_abort_is_in_history(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        async with deploying(site, monkeypatch) as (poll, _):
            await site.operations.abort()
            await poll
        async with deploying(site, monkeypatch) as (poll, _):
            await site.roll_back()
            await poll

        rows = [each for each in await site.hands.history() if each.tag == "v1.2.0"]
        assert ["aborted by operator", "rolled back by operator"] == [
            each.reason for each in rows
        ]


async def test_rollback_does_not_join_cancelled_rollback(tmp_path, monkeypatch):
    """Whoever asked for the first has left; the second is carried out."""
    async with sited(tmp_path) as site:
        gate, place = Gate(), Trial.place

        async def waits(trial: Trial) -> None:
            try:
                await gate()
            except asyncio.CancelledError:
                await gate.opened.wait()
                raise
            await place(trial)

        monkeypatch.setattr(Trial, "place", waits)
        first = asyncio.create_task(site.roll_back())
        await gate.reached.wait()
        first.cancel()
        await eventually(lambda: site.agent.changes.current.cancelled)
        second = asyncio.create_task(site.roll_back())
        await eventually(lambda: "cancelling the rollback to v1.0.0" in site.said)
        gate.opened.set()

        assert "rolled back to v1.0.0" in await second
        await asyncio.wait({first})
        assert "v1.0.0" == site.running


async def test_pending_deploy_of_quarantined_version_is_rejected(tmp_path, monkeypatch):
    async with sited(tmp_path) as site, deploying(site, monkeypatch) as (poll, _):
        settled, found = site.agent.changes.settled, Gate()

        async def waits():
            await found()
            await settled()

        with monkeypatch.context() as patched:
            patched.setattr(site.agent.changes, "settled", waits)
            deploy = asyncio.create_task(site.deploy())
            await found.reached.wait()
        assert "v1.2.0 was not deployed" in await site.roll_back()
        found.opened.set()

        with pytest.raises(DewyError, match=r"v1\.2\.0 is in quarantine"):
            await deploy
        await poll
        assert "v1.1.0" == site.running
