"""A newer release takes the place of the one that is being deployed."""

from __future__ import annotations

import asyncio
import time

import pytest

from dewy import release_watch
from dewy.deploy.candidates import Found
from dewy.deploy.changes import Attempt, Cancelled, Change, ChangeSlot
from dewy.deploy.plan import Action, Decision
from dewy.errors import RemoteError
from dewy.release import Release
from dewy.release_watch import ReleaseWatch
from tests.eventually import DEADLINE, turns


def release(tag: str) -> Release:
    return Release(tag, f"memory://{tag}", f"sha256:{tag}")


class Site:
    """A watch over deployments that take for ever, and its surroundings."""

    def __init__(self) -> None:
        self.changes = ChangeSlot()
        self.newest = release("v2")
        self.failure: RemoteError | None = None
        self.asked = 0
        self.watch = ReleaseWatch(lambda: 0.0, self.changes, self.find)

    async def find(self) -> Found:
        self.asked += 1
        if self.failure:
            raise self.failure
        return Found(self.newest, Decision(Action.DEPLOY, ""))

    async def deploy(self, tag: str, step: str) -> bool:
        """Deploy *tag* up to *step*; whether it gave way."""
        change = Change(Attempt(tag, "", "deploy", time.monotonic()), release(tag))
        assert change.release is not None

        async def work(change: Change) -> None:
            change.attempt.reach(step)
            await asyncio.Event().wait()

        async with asyncio.timeout(DEADLINE):
            return await self.watch.superseded(
                change.release, self.changes.run(change, work)
            )


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(release_watch, "LEAST_START", 0.0)
    return Site()


async def test_fetch_gives_way_to_a_newer_release(site: Site) -> None:
    assert await site.deploy("v1", "fetch")


async def test_deployment_of_the_newest_release_goes_on(site: Site) -> None:
    await goes_on(site, "v2", "fetch")


async def test_start_gives_way(site: Site) -> None:
    assert await site.deploy("v1", "start")


async def test_second_start_does_not_give_way(site: Site) -> None:
    """Releases that come faster than they start would never run."""
    assert await site.deploy("v1", "start")
    site.newest = release("v3")
    await goes_on(site, "v2", "start")


async def test_start_does_not_give_way_in_its_first_minute(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_watch, "LEAST_START", 60.0)
    await goes_on(site, "v1", "start")


async def test_fault_in_a_look_at_the_registry_does_not_end_the_watch(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [ZeroDivisionError("no error of the registry's")]

    async def failing() -> Found:
        if faults:
            raise faults.pop()
        return await site.find()

    site.watch = ReleaseWatch(lambda: 0.0, site.changes, failing)

    assert await site.deploy("v1", "fetch")
    assert ["Watch for a newer release ran into a fault"] == caplog.messages


async def test_cancellation_for_another_reason_is_passed_on(site: Site) -> None:
    deploying = asyncio.create_task(site.deploy("v2", "start"))
    await turns()
    await site.changes.cancel("aborted by operator")

    with pytest.raises(Cancelled, match="aborted by operator"):
        await deploying


async def test_watch_honours_retry_after_of_registry(site: Site) -> None:
    """It is asked in the midst of a deployment, too."""
    site.failure = RemoteError("busy", retry_after=3600.0)
    await goes_on(site, "v1", "fetch")

    assert 1 == site.asked


async def goes_on(site: Site, tag: str, step: str) -> None:
    """Give the watch some turns; the deployment must not have been cancelled."""
    deploying = asyncio.create_task(site.deploy(tag, step))
    await turns()
    assert not deploying.done()
    await site.changes.cancel("over")
    with pytest.raises(Cancelled, match="over"):
        await deploying
