"""The host's faults and the network's are nobody's verdict on a release."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.deploy.hooks import DeployHooks
from dewy.errors import DeploymentError, RemoteError, StartFailed
from dewy.polling import Poller
from dewy.release import Release
from dewy.remotes.partial_file import PartialFile
from tests.eventually import eventually
from tests.standins.agents import Hands, acting

SYNC = "dewy.deploy.releases._sync_file_system"
ROOM = "dewy.deploy.fetch._make_room"
FINISH = "dewy.remotes.partial_file.PartialFile._finish"
SECRET = "db password=s3cr3t"


@pytest.fixture
async def hands(tmp_path: Path) -> AsyncIterator[Hands]:
    async with acting(tmp_path) as hands:
        hands.publish("v1.0.0")
        await hands.tick()
        hands.publish("v1.1.0")
        yield hands


def full(*args: object, **kwargs: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing(hands: Hands, monkeypatch: pytest.MonkeyPatch, exc: Exception) -> None:
    """From now on no release can take over, for *exc*."""

    async def switch(directory: str) -> None:
        if directory != hands.agent.state.running.directory:
            raise exc

    monkeypatch.setattr(hands.releases, "switch", switch)


async def poll(hands: Hands, times: int = 1) -> Poller:
    agent = hands.agent
    poller = Poller(agent.tick, agent.reloadable, agent.clock, agent.deployment_log)
    for _ in range(times):
        await poller.once()
    return poller


@pytest.mark.parametrize(
    ("place", "step"),
    [
        (ROOM, "fetch"),
        (SYNC, "unpack"),
    ],
)
async def test_full_disk_is_retried_with_polls_and_deploys_once_there_is_room(
    hands: Hands, monkeypatch: pytest.MonkeyPatch, place: str, step: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(place, full)
        poller = await poll(hands, 3)
        failed = [each for each in await hands.history() if each.outcome == "failed"]

        assert "v1.0.0" == hands.agent.state.running.tag
        assert "" != poller.problem
        assert [] == list(hands.agent.state.quarantine)
        assert [("v1.1.0", step)] == [(each.tag, each.step) for each in failed]
    await poller.once()

    assert "v1.1.0" == hands.agent.state.running.tag
    assert "" == poller.problem


async def test_store_that_is_away_condemns_nothing(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object) -> None:
        raise RemoteError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr("dewy.artifacts.memory.MemoryArtifacts.fetch", away)
        await poll(hands, 2)

        assert [] == list(hands.agent.state.quarantine)
    await poll(hands)

    assert "v1.1.0" == hands.agent.state.running.tag


@pytest.mark.parametrize("place", [ROOM, FINISH])
async def test_repeated_fault_of_host_is_told_once(
    hands: Hands, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """And each time in the log; another fault is news."""
    monkeypatch.setattr(place, full)
    await poll(hands, 4)
    monkeypatch.undo()
    monkeypatch.setattr(SYNC, full)
    await poll(hands, 2)

    await eventually(lambda: 2 == sum("failed at" in text for text in hands.told()))
    assert not any("Poll failed" in text for text in hands.told())
    assert 1 == hands.told().count("Fetched v1.1.0")
    assert 2 == sum(each.outcome == "failed" for each in await hands.history())


@pytest.mark.parametrize("host", [True, False])
async def test_start_that_failed_is_blamed_on_whoever_is_to_blame(
    hands: Hands, monkeypatch: pytest.MonkeyPatch, host: bool
) -> None:
    failing(hands, monkeypatch, StartFailed("no more processes", host=host))
    with pytest.raises(DeploymentError):
        await hands.tick()

    assert (not host) == bool(list(hands.agent.state.quarantine))


async def test_words_of_program_stay_where_they_may_be_read(
    hands: Hands, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, the history, the quarantine and notices; in no reason."""
    caplog.set_level(logging.INFO)
    failure = StartFailed("generation 2 ended (exit status 1)", detail=SECRET)
    failing(hands, monkeypatch, failure)
    poller = await poll(hands)
    await hands.tick()
    (entry,) = hands.agent.state.quarantine
    record = (await hands.history())[-1]

    for public in (
        entry.reason,
        record.reason,
        poller.problem,
        hands.agent.status_reason,
        hands.agent.state.because,
        *hands.announced,
    ):
        assert SECRET not in public
    assert SECRET == entry.detail == record.detail
    assert "generation 2 ended (exit status 1)" == entry.reason == record.reason
    assert any(SECRET in str(vars(each)) for each in caplog.records)
    await eventually(lambda: any(SECRET in text for text in hands.told()))


async def test_disk_full_failures_are_recorded_once_without_temp_names(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(
        self: object, release: Release, into: Path, progress: object = None
    ) -> None:
        async with PartialFile(into) as draft:
            monkeypatch.setattr(draft, "_empty", full)
            await draft.restart()

    monkeypatch.setattr("dewy.artifacts.memory.MemoryArtifacts.fetch", fetch)
    await poll(hands, 3)
    failed = [each for each in await hands.history() if each.outcome == "failed"]

    assert [("v1.1.0", "fetch")] == [(each.tag, each.step) for each in failed]
    assert "tmp" not in failed[0].reason
    assert failed[0].reason.endswith(os.strerror(errno.ENOSPC))


async def test_fetch_that_its_library_cancelled_is_a_failed_deployment_of_the_host(
    tmp_path, monkeypatch
):
    """It was in neither the history nor the log, and tried again and again."""

    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    async with acting(tmp_path) as hands:
        hands.publish("v1.0.0")
        monkeypatch.setattr(DeployHooks, "before", cancelled)
        await hands.tick()

        (record,) = await hands.history()
        assert ("v1.0.0", "failed", "before-hook") == (
            record.tag,
            record.outcome,
            record.step,
        )
        assert "not by dewy" in record.reason
        assert [] == list(hands.agent.state.quarantine)
        assert "not by dewy" in hands.agent.status_reason
