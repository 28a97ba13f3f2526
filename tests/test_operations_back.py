"""`rollback` while dewy itself brings a release back, or has just done so."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dewy.deploy.deployer import AssetsDeployer
from dewy.deploy.hooks import DeployHooks
from dewy.errors import DeploymentError, DewyError
from tests.eventually import eventually
from tests.standins.agents import acting
from tests.standins.sites import Gate, Site, sited

DIED = ("exit status 9", ())


@asynccontextmanager
async def polling(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[asyncio.Task[None], Gate]]:
    """A poll that has found something to do, and waits at the before-hook."""
    gate = Gate()
    with monkeypatch.context() as patched:
        patched.setattr(DeployHooks, "before", gate)
        poll = asyncio.create_task(site.agent.tick())
        await gate.reached.wait()
        yield poll, gate
        gate.opened.set()
        await asyncio.wait({poll})
        await site.agent.follow_up.finished()


@asynccontextmanager
async def only_first(tmp_path: Path) -> AsyncIterator[Site]:
    async with acting(tmp_path) as hands:
        hands.publish("v1.1.0")
        await hands.tick()
        yield Site(hands)


def lose(root: Path, site: Site) -> None:
    """Remove the files of what runs."""
    shutil.rmtree(root / "releases" / site.agent.state.running.directory)


async def stand_in(root: Path, site: Site) -> None:
    """Let v1.0.0 run in place of v1.1.0, as for a program whose files are gone."""
    kept = {site.agent.state.find("v1.0.0").directory}
    lose(root, site)
    await site.agent.state_store.note(lambda state: state.present(kept))
    assert ("v1.0.0", "v1.1.0") == (site.running, site.agent.state.gone.name)


async def test_rollback_without_a_target_lets_lost_release_be_fetched_on(
    tmp_path, monkeypatch
):
    """It put what ran into quarantine, so that the next death was an outage."""
    async with only_first(tmp_path) as site:
        lose(tmp_path, site)
        async with polling(site, monkeypatch):
            with pytest.raises(DewyError, match="nothing to roll back to"):
                await site.roll_back()
            with pytest.raises(DewyError, match=r"v1\.1\.0 runs already"):
                await site.roll_back("v1.1.0")

        assert ("v1.1.0", []) == (site.running, site.quarantined())
        assert "v1.1.0" == (tmp_path / "current/VERSION").read_text()


@pytest.mark.parametrize("version", [None, "v1.0.0"])
async def test_rollback_during_lost_release_fetch_uses_kept_release(
    version: str | None, tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        lose(tmp_path, site)
        async with polling(site, monkeypatch):
            answer = await site.roll_back(version)

        assert "rolled back to v1.0.0; v1.1.0 stays out" in answer
        assert ("v1.0.0", ["v1.1.0"]) == (site.running, site.quarantined())
        assert "v1.0.0" == (tmp_path / "current/VERSION").read_text()


@pytest.mark.parametrize("under_way", [True, False])
@pytest.mark.parametrize("version", [None, "v1.0.0"])
async def test_rollback_from_a_lost_release_stays_at_its_stand_in(
    version: str | None, under_way: bool, tmp_path, monkeypatch
):
    """It went one further, and the next poll brought the lost one back."""
    async with sited(tmp_path) as site:
        await stand_in(tmp_path, site)
        if under_way:
            async with polling(site, monkeypatch):
                answer = await site.roll_back(version)
        else:
            answer = await site.roll_back(version)
        await site.hands.tick()

        assert (
            "v1.0.0 keeps running; v1.1.0 stays out until `dewy retry v1.1.0`" == answer
        )
        assert ("v1.0.0", ["v1.1.0"]) == (site.running, site.quarantined())
        assert site.agent.state.gone is None


async def test_rollback_past_the_stand_in_keeps_the_lost_release_out_too(
    tmp_path, monkeypatch
):
    async with acting(tmp_path) as hands:
        for version in ("v0.9.0", "v1.0.0", "v1.1.0"):
            hands.publish(version)
            await hands.tick()
        site = Site(hands)
        lose(tmp_path, site)
        kept = {site.agent.state.find(v).directory for v in ("v0.9.0", "v1.0.0")}
        await site.agent.state_store.note(lambda state: state.present(kept))
        async with polling(site, monkeypatch):
            await site.roll_back("v0.9.0")
        await hands.tick()

        assert "v0.9.0" == site.running
        assert ["v1.0.0", "v1.1.0"] == sorted(site.quarantined())


async def test_lost_running_release_is_refetched_despite_quarantine(tmp_path):
    """Nothing else can run here; an operator's word had kept it out for good."""
    async with only_first(tmp_path) as site:
        running, clock = site.agent.state.running, site.agent.clock
        left = (running.tag, running.identity, "left", clock)
        await site.agent.state_store.condemn(*left, traffic=True, by="operator")
        lose(tmp_path, site)
        await site.hands.tick()

        assert "v1.1.0" == (tmp_path / "current/VERSION").read_text()


async def test_rollback_joins_older_successor_of_failed_first_release(
    tmp_path, monkeypatch
):
    """It kept the good one out for ever, and the bad one running."""
    async with only_first(tmp_path) as site:
        site.hands.publish("v1.0.0")
        assert not await site.agent.judge(*DIED)
        async with polling(site, monkeypatch) as (_, gate):
            asked = asyncio.create_task(site.roll_back())
            await eventually(lambda: any("already" in said for said in site.said))
            gate.opened.set()

            assert "v1.0.0 runs" == await asked
        assert ("v1.0.0", ["v1.1.0"]) == (site.running, site.quarantined())


async def test_rollback_cancels_newer_successor_of_failed_first_release(
    tmp_path, monkeypatch
):
    async with only_first(tmp_path) as site:
        site.hands.publish("v1.2.0")
        assert not await site.agent.judge(*DIED)
        async with polling(site, monkeypatch):
            assert "v1.2.0 was not deployed" in await site.roll_back()

        assert ["v1.1.0", "v1.2.0"] == site.quarantined()


async def test_rollback_to_missing_version_cancels_no_deployment(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        async with polling(site, monkeypatch):
            with pytest.raises(DewyError, match=r"v9 is not on this host"):
                await site.roll_back("v9")

        assert ("v1.2.0", []) == (site.running, site.quarantined())


@asynccontextmanager
async def putting_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[asyncio.Task[bool], Gate]]:
    """The automatic return from v1.2.0, which died, to v1.1.0; it waits."""
    site.hands.publish("v1.2.0")
    await site.hands.tick()
    gate, put_back = Gate(), AssetsDeployer.put_back

    async def waits(deployer, previous):
        await gate()
        await put_back(deployer, previous)

    monkeypatch.setattr(AssetsDeployer, "put_back", waits)
    judged = asyncio.create_task(site.agent.judge(*DIED))
    await gate.reached.wait()
    yield judged, gate
    gate.opened.set()
    await judged


@pytest.mark.parametrize("version", [None, "v1.1.0"])
async def test_rollback_joins_automatic_rollback_in_progress(
    version: str | None, tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        async with putting_back(site, monkeypatch) as (_, gate):
            asked = asyncio.create_task(site.roll_back(version))
            await eventually(lambda: site.said)
            gate.opened.set()
            answer = await asked

        assert site.said[0].startswith("v1.2.0 is being left, for it died within")
        assert answer.startswith("v1.2.0 was left already, for it died within")
        assert "; v1.1.0 runs; " in answer
        assert ("v1.1.0", ["v1.2.0"]) == (site.running, site.quarantined())


async def test_rollback_right_after_automatic_rollback_is_no_op(tmp_path, monkeypatch):
    """Whoever says it means the version that has died."""
    async with sited(tmp_path) as site:
        async with putting_back(site, monkeypatch):
            pass
        assert "v1.2.0 was left already" in await site.roll_back()
        assert "v1.1.0" == site.running

        assert "rolled back to v1.0.0" in await site.roll_back()
        assert "v1.0.0" == site.running


async def test_named_rollback_after_automatic_rollback_takes_effect(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        async with putting_back(site, monkeypatch):
            pass

        assert "rolled back to v1.0.0" in await site.roll_back("v1.0.0")


@pytest.mark.parametrize(("seconds", "serves"), [(11, True), (61, False)])
async def test_delayed_rollback_after_automatic_rollback_takes_effect(
    seconds: int, serves: bool, tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        async with putting_back(site, monkeypatch):
            pass
        site.hands.now += seconds
        monkeypatch.setattr(AssetsDeployer, "alive", lambda _: asyncio.sleep(0, serves))

        assert "rolled back to v1.0.0" in await site.roll_back()


async def test_rollback_while_restored_release_starts_is_no_op(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:
        async with putting_back(site, monkeypatch):
            pass
        site.hands.now += 30
        monkeypatch.setattr(AssetsDeployer, "alive", lambda _: asyncio.sleep(0, False))

        assert "; v1.1.0 is being started; " in await site.roll_back()
        assert "v1.1.0" == site.running


async def test_rollback_overtaken_by_automatic_rollback_is_no_op(tmp_path, monkeypatch):
    """It was asked for while v1.2.0 still ran."""
    async with sited(tmp_path) as site:
        site.hands.publish("v1.2.0")
        await site.hands.tick()
        gate, has = Gate(), site.agent.release_store.has

        async def waits(release):
            await gate()
            return await has(release)

        monkeypatch.setattr(site.agent.release_store, "has", waits)
        asked = asyncio.create_task(site.roll_back())
        await gate.reached.wait()
        assert await site.agent.judge(*DIED)
        gate.opened.set()

        assert "v1.2.0 was left already" in await asked
        assert ("v1.1.0", ["v1.2.0"]) == (site.running, site.quarantined())


async def test_rollback_after_failed_automatic_rollback_succeeds(tmp_path, monkeypatch):
    async with sited(tmp_path) as site:

        async def fails(*_: object) -> None:
            raise DeploymentError("no such image", host=True)

        with monkeypatch.context() as patched:
            patched.setattr(AssetsDeployer, "put_back", fails)
            assert not await site.agent.judge(*DIED)
        assert "v1.1.0" == site.running

        assert "rolled back to v1.0.0" in await site.roll_back()


async def test_rollback_after_automatic_rollback_cancels_deployment(
    tmp_path, monkeypatch
):
    async with sited(tmp_path) as site:
        async with putting_back(site, monkeypatch):
            pass
        site.hands.publish("v1.3.0")
        async with polling(site, monkeypatch):
            assert "v1.3.0 was not deployed" in await site.roll_back()
        assert "v1.1.0" == site.running

        assert "rolled back to v1.0.0" in await site.roll_back()


async def test_hold_during_probation_mentions_automatic_rollback(tmp_path):
    async with sited(tmp_path) as site:
        answer = await site.operations.hold()
        assert "held at v1.1.0; `dewy unhold` ends it; should it fail" in answer
        assert "v1.0.0 is put back all the same" in answer
        site.hands.now += site.agent.settings.probation

        assert "held at v1.1.0; `dewy unhold` ends it" == await site.operations.hold()


@pytest.mark.parametrize("settings", [{"rollback": False}, {"probation": 0.0}])
async def test_hold_without_automatic_rollback_tells_of_none(settings, tmp_path):
    async with sited(tmp_path, **settings) as site:
        assert "held at v1.1.0; `dewy unhold` ends it" == await site.operations.hold()


async def test_hold_said_during_the_automatic_rollback_names_its_end(
    tmp_path, monkeypatch
):
    async with (
        sited(tmp_path) as site,
        putting_back(site, monkeypatch) as (_, gate),
    ):
        asked = asyncio.create_task(site.operations.hold())
        gate.opened.set()

        assert "held at v1.1.0; `dewy unhold` ends it" == await asked
