"""Release that failed its probation, and runs on for want of another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dewy.deploy.state import Installed, State
from dewy.system import Clock
from tests.deploy.on_probation import NEW, Case


async def alone(root: Path) -> Case:
    """Return a root in which v2, the only release, has just failed and runs on."""
    case = Case(root, state=State(NEW, (NEW,)))
    await case.releases.switch(NEW.directory)
    case.probation.begin(NEW, "abc")
    case.now = 1
    assert not await case.die()
    return case


async def succeeded(case: Case, newer: Installed) -> None:
    """Let *newer* take over, as a change of version does."""
    (case.root / "releases" / newer.directory).mkdir()
    await case.look()
    await case.releases.switch(newer.directory)
    await case.state_store.note(lambda state: state.deployed(newer, 7))
    case.probation.begin(newer, "def")


NEWER = Installed("v3", "c", "20310203T060000Z", 3.0)


@pytest.mark.parametrize("later", [2, 500])
async def test_failed_successor_rolls_back_to_once_failed_release(
    later: float, tmp_path: Path
):
    """It died once, served on, and its successor never lived: an outage."""
    case = await alone(tmp_path)
    case.now = later
    await succeeded(case, NEWER)

    assert await case.die()

    state = case.state_store.state
    assert NEW == state.running
    assert NEW.directory == await case.releases.target()
    assert "put back, because v3 died within probation" in state.because
    record = (await asyncio.to_thread(case.history.read))[-1]
    assert ("v3", "rolled back") == (record.tag, record.outcome)


async def test_no_rollback_to_release_that_stopped_serving(tmp_path: Path):
    case = await alone(tmp_path)
    (tmp_path / "current").unlink()
    await succeeded(case, NEWER)

    assert not await case.die()
    assert NEWER == case.state_store.state.running


async def test_no_rollback_to_release_quarantined_by_operator(tmp_path: Path):
    case = await alone(tmp_path)
    await succeeded(case, NEWER)
    await case.state_store.condemn(
        *("v2", "b", "rolled back by operator", Clock()), traffic=True, by="operator"
    )

    assert not await case.die()
    assert NEWER == case.state_store.state.running


async def test_release_that_failed_and_serves_on_for_the_time_has_passed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """It was kept out for good, though nothing else served for a month."""
    caplog.set_level("INFO")
    case = await alone(tmp_path)
    for case.now in (2, 31):
        await case.look()
    assert case.state_store.state.is_stopgap
    case.now = 33
    await case.look()

    assert [] == list(case.state_store.state.quarantine)
    assert "Probation passed" in caplog.messages
    assert not await case.die()
    assert [] == list(case.state_store.state.quarantine)


async def test_each_further_failure_begins_the_time_to_prove_itself_anew(
    tmp_path: Path,
):
    case = await alone(tmp_path)
    await case.look()
    case.now = 20
    await case.die()
    await case.look()
    case.now = 45
    await case.look()

    assert case.state_store.state.is_stopgap


async def test_unhealthy_release_does_not_prove_itself(tmp_path: Path):
    case = await alone(tmp_path)
    case.probation.watch(lambda: True)
    for case.now in (2, 40):
        await case.look()

    assert case.state_store.state.is_stopgap
