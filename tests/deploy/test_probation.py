"""Probation: the verdict on a release that dies."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.deploy.deployer import AssetsDeployer
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.history import Record
from dewy.deploy.probation import Probation
from dewy.deploy.releases import Releases
from dewy.deploy.state import Installed, State, StateFile
from dewy.errors import DeploymentError
from dewy.notifiers.memory import MemoryNotifier
from dewy.system import Clock
from tests.deploy.on_probation import NEW, OLD, Case
from tests.standins import virtual_time


async def test_a_death_within_probation_is_a_verdict(tmp_path: Path):
    case = Case(tmp_path)
    case.probation.begin(NEW, "abc")
    case.now = 29

    assert await case.die()

    state = case.state_store.state
    assert (OLD, 1000.0) == (state.running, state.since)
    assert OLD.directory == await case.releases.target()
    assert "put back, because v2 died within probation (exit status 9)" == state.because
    entry = state.quarantine.find("v2", "b")
    assert entry is not None
    assert (None, "died within probation (exit status 9)") == (
        entry.until,
        entry.reason,
    )
    (record,) = await asyncio.to_thread(case.history.read)
    assert ("v2", "rolled back", "probation", ("oh no",), "abc") == (
        record.tag,
        record.outcome,
        record.step,
        record.log_tail,
        record.id,
    )


@pytest.mark.parametrize("restarted", [False, True])
async def test_rolled_back_row_names_replaced_and_restored_versions(
    tmp_path: Path, restarted: bool
):
    case = Case(tmp_path)
    done = ("v2", "v1.5", "deploy", "deployed", "done", "")
    await asyncio.to_thread(case.history.append, Record(1.0, *done, 1.0))
    case.probation.begin(NEW, "abc", "" if restarted else "v1.5")

    assert await case.die()

    row = (await asyncio.to_thread(case.history.read))[-1]
    assert ("v2", "v1.5") == (row.tag, row.previous)
    assert "died within probation (exit status 9); back to v1" == row.reason


@pytest.mark.parametrize(
    ("at", "later", "judged"),
    [(990.0, 19, True), (990.0, 21, False), (960.0, 0, False)],
)
async def test_probation_goes_on_after_a_restart_of_dewy(
    at: float, later: float, judged: bool, tmp_path: Path
):
    """For what is left of it."""
    new = replace(NEW, at=at)
    case = Case(tmp_path, state=State(new, (new, OLD)))
    case.probation.resume()
    case.now = later

    assert judged is await case.die()


async def test_rollback_target_is_not_on_probation_after_restart(
    tmp_path: Path,
):
    old = replace(OLD, at=999.0)
    case = Case(tmp_path, state=State(old, (old, NEW), back_at=999.0))
    case.probation.resume()

    assert not await case.die()


@pytest.mark.parametrize(("later", "judged"), [(29, True), (31, False)])
async def test_a_clock_that_went_back_neither_ends_nor_prolongs_probation(
    later: float, judged: bool, tmp_path: Path
):
    new = replace(NEW, at=5000.0)
    case = Case(tmp_path, state=State(new, (new, OLD)))
    case.probation.resume()
    case.now = later

    assert judged is await case.die()


async def test_going_back_is_told_with_the_last_lines(tmp_path: Path):
    case, memory = Case(tmp_path), MemoryNotifier(urlsplit("mem://people"))
    async with DeploymentLog(case.history, [memory], Clock()) as deployment_log:
        case.probation = Probation(
            case.settings, Clock(), case.state_store, deployment_log
        )
        case.probation.begin(NEW, "abc")
        assert await case.die()

    (notice,) = memory.sent
    assert "v2 died within probation (exit status 9); back to v1" == notice.text
    assert (("log", "oh no"),) == notice.fields


async def test_rollback_state_is_saved_before_link_switch(tmp_path: Path, monkeypatch):
    """A dewy killed in between must not start the bad release again."""
    case = Case(tmp_path)
    await case.releases.switch(NEW.directory)
    case.probation.begin(NEW, "abc")
    seen: list[tuple[Installed | None, bool, str]] = []
    write = StateFile.write

    def watched(file: StateFile, state: State) -> None:
        link = (tmp_path / "current").resolve().name
        seen.append((state.running, state.is_bad(NEW), link))
        write(file, state)

    monkeypatch.setattr(StateFile, "write", watched)
    await case.die()

    assert [(OLD, True, NEW.directory)] == seen
    assert OLD.directory == await case.releases.target()


async def test_failed_release_stays_current_if_rollback_is_impossible(tmp_path: Path):
    """Somebody removed it, or the disk is full: what failed is started again."""
    case = Case(tmp_path)
    await case.releases.switch(NEW.directory)
    (tmp_path / "releases" / OLD.directory).rmdir()
    case.probation.begin(NEW, "abc")

    assert not await case.die()

    assert NEW == case.state_store.state.running
    assert case.state_store.state.is_bad(NEW)
    assert NEW.directory == await case.releases.target()


OLDER = Installed("v0", "z", "20310203T030000Z", 0.5)


def with_three(root: Path) -> Case:
    case = Case(root, state=State(NEW, (NEW, OLD, OLDER)))
    (root / "releases" / OLDER.directory).mkdir()
    case.probation.begin(NEW, "abc")
    return case


async def test_rollback_skips_missing_release(tmp_path: Path):
    """It crash-looped, though a good one lay there."""
    case = with_three(tmp_path)
    (tmp_path / "releases" / OLD.directory).rmdir()

    assert await case.die()
    assert OLDER == case.state_store.state.running
    assert OLDER.directory == await case.releases.target()


async def test_rollback_that_cannot_be_is_told_and_tried_again(tmp_path: Path):
    case, memory = with_three(tmp_path), MemoryNotifier(urlsplit("mem://people"))
    await case.releases.switch(NEW.directory)
    for each in (OLD, OLDER):
        (tmp_path / "releases" / each.directory).rmdir()
    async with DeploymentLog(case.history, [memory], Clock()) as deployment_log:
        case.probation = Probation(
            case.settings, Clock(), case.state_store, deployment_log
        )
        case.probation.begin(NEW, "abc")
        assert not await case.die()
        assert not await case.die()
        (tmp_path / "releases" / OLDER.directory).mkdir()
        assert await case.die()

    (record,) = await asyncio.to_thread(case.history.read)
    assert ("v2", "failed", "probation") == (record.tag, record.outcome, record.step)
    assert "no earlier release can be put back" in record.reason
    assert [f"v2 {record.reason}"] == [notice.text for notice in memory.sent]
    assert OLDER == case.state_store.state.running


async def test_quarantine_becomes_timed_if_rollback_target_dies_too(
    tmp_path: Path,
):
    """A database that is down is not the new version's fault."""
    case = with_three(tmp_path)
    assert await case.die()
    case.now = 20
    assert not await case.die()

    entry = case.state_store.state.quarantine.find("v2", "b")
    assert entry is not None
    assert entry.until is not None
    assert OLD == case.state_store.state.running


async def test_quarantine_stays_untimed_if_rollback_target_dies_later(
    tmp_path: Path,
):
    case = with_three(tmp_path)
    assert await case.die()
    case.now = 31
    await case.die()

    entry = case.state_store.state.quarantine.find("v2", "b")
    assert entry is not None
    assert entry.until is None


async def test_a_later_death_is_no_verdict(tmp_path: Path):
    case = Case(tmp_path)
    case.probation.begin(NEW, "abc")
    case.now = 31

    assert not await case.die()
    assert NEW == case.state_store.state.running


async def test_death_outside_probation_causes_no_rollback(tmp_path: Path):
    assert not await Case(tmp_path).die()


async def test_second_death_in_probation_causes_no_further_rollback(tmp_path: Path):
    case = Case(tmp_path)
    case.probation.begin(NEW, "abc")
    await case.die()

    assert not await case.die()
    assert OLD == case.state_store.state.running


async def test_failed_release_keeps_running_with_rollback_disabled(tmp_path: Path):
    case = Case(tmp_path, rollback=False)
    case.probation.begin(NEW, "abc")

    assert not await case.die()
    assert NEW == case.state_store.state.running


@pytest.mark.parametrize("others", [(), (OLD,)])
async def test_release_that_dies_with_nothing_to_go_back_to_runs_on_condemned(
    tmp_path: Path, others: tuple[Installed, ...]
):
    state = State(NEW, (NEW, *others))
    bad = state.quarantine.add("v1", "a", "bad too", Clock(), traffic=True)
    case = Case(tmp_path, state=replace(state, quarantine=bad))
    case.probation.begin(NEW, "abc")

    assert not await case.die()
    assert not await case.die()

    after = case.state_store.state
    assert NEW == after.running
    assert after.is_stopgap
    (record,) = await asyncio.to_thread(case.history.read)
    assert ("v2", "failed", "probation") == (record.tag, record.outcome, record.step)
    assert record.reason.endswith("; no earlier release can be put back")


async def test_quarantine_is_timed_once_the_next_candidate_dies_too(tmp_path: Path):
    """A database that is down must not condemn all that the registry has."""
    case = Case(tmp_path, state=State(NEW, (NEW,)))
    case.probation.begin(NEW, "abc")
    for case.now in (1, 5):
        assert not await case.die()
    await case.state_store.note(lambda state: state.deployed(OLD, 7))
    case.probation.begin(OLD, "def")
    case.now = 10
    assert not await case.die()

    entries = case.state_store.state.quarantine.entries
    assert [("v2", True), ("v1", False)] == [
        (e.tag, e.until is not None) for e in entries
    ]


def test_release_that_lives_through_probation_passes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async def scenario() -> tuple[float | None, bool, float | None, bool]:
        case = Case(tmp_path)
        loop = asyncio.get_running_loop()
        case.probation._clock = Clock(monotonic=loop.time)
        case.probation.begin(NEW, "abc")
        before = case.probation.left
        passed = await case.probation.over()
        return before, passed, case.probation.left, await case.die()

    caplog.set_level("INFO")
    before, passed, left, moved = virtual_time.run(scenario())

    assert before is not None
    assert 29 < before <= 30
    assert (True, None, False) == (passed, left, moved)
    assert "Probation passed" in caplog.messages


def test_nothing_passes_probation_while_dewy_stops(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async def scenario() -> None:
        case = Case(tmp_path)
        case.probation._clock = Clock(monotonic=asyncio.get_running_loop().time)
        case.probation.begin(NEW, "abc")
        case.probation.leave()
        await asyncio.sleep(60)

    caplog.set_level("INFO")
    virtual_time.run(scenario())

    assert "Probation passed" not in caplog.messages


async def test_wait_for_probation_ends_when_release_fails(tmp_path: Path):
    case = Case(tmp_path)
    case.probation.begin(NEW, "abc")
    waiting = asyncio.create_task(case.probation.over())
    await asyncio.sleep(0)

    assert await case.die()
    assert not await waiting
    assert case.probation.left is None


async def test_release_that_is_not_healthy_fails_probation(tmp_path: Path):
    case = Case(tmp_path)
    case.probation.begin(NEW, "abc")
    deployer = AssetsDeployer(case.releases)

    assert await case.probation.verdict(
        "2 of 3 replicas are unhealthy", (), deployer, "failed"
    )

    state = case.state_store.state
    (entry,) = state.quarantine
    assert OLD == state.running
    assert "failed within probation (2 of 3 replicas are unhealthy)" == entry.reason


async def test_verdict_leaves_a_version_that_has_taken_over_meanwhile(tmp_path: Path):
    newer = Installed("v3", "c", "20310203T060000Z", 3.0)
    case = Case(tmp_path)
    case.probation.begin(NEW, "abc")

    async def condemned(*given: object, **more: object) -> None:
        await condemn(*given, **more)
        await case.state_store.change(lambda state: state.deployed(newer, 7))

    condemn = case.state_store.condemn
    case.state_store.condemn = condemned
    assert not await case.die()

    assert newer == case.state_store.state.running


def test_probation_goes_on_while_a_failure_is_at_hand(tmp_path: Path):
    async def scenario() -> tuple[bool, bool, bool]:
        case = Case(tmp_path)
        loop = asyncio.get_running_loop()
        case.probation._clock = Clock(monotonic=loop.time)
        case.probation.watch(lambda: True)
        case.probation.begin(NEW, "abc")
        waiting = asyncio.create_task(case.probation.over())
        await asyncio.sleep(40)
        on = not waiting.done()
        # The row is decided, so nothing is at hand any more.
        case.probation.watch(lambda: False)
        moved = await case.die()
        return on, moved, await waiting

    assert (True, True, False) == virtual_time.run(scenario())


def test_probation_does_not_go_on_for_ever(tmp_path: Path):
    async def scenario() -> bool:
        case = Case(tmp_path)
        loop = asyncio.get_running_loop()
        case.probation._clock = Clock(monotonic=loop.time)
        case.probation.watch(lambda: True)
        case.probation.begin(NEW, "abc")
        return await case.probation.over()

    assert virtual_time.run(scenario())


def test_death_in_short_probation_is_judged_when_its_cause_is_known(tmp_path: Path):
    async def scenario() -> bool:
        case = Case(tmp_path)
        case.settings.reload(replace(case.settings.current, probation=2.0))
        loop = asyncio.get_running_loop()
        case.probation._clock = Clock(monotonic=loop.time)
        case.probation.watch(lambda: True)
        case.probation.begin(NEW, "abc")
        await asyncio.sleep(5.5)
        return await case.die()

    assert virtual_time.run(scenario())


class Elsewhere(AssetsDeployer):
    """A deployer that has to fetch some releases first, for as long as it takes."""

    def __init__(self, releases: Releases, *missing: Installed) -> None:
        super().__init__(releases)
        self.missing = missing
        self.tried: list[Installed] = []

    async def at_hand(self, previous: Installed) -> bool:
        return previous not in self.missing

    async def put_back(self, previous: Installed) -> None:
        self.tried.append(previous)
        if previous in self.missing:
            raise DeploymentError(f"no image of {previous.tag}")
        await super().put_back(previous)


async def test_local_release_is_preferred_over_release_to_fetch(
    tmp_path: Path,
):
    older = Installed("v0", "0", "20310103T040506Z", 0.5)
    case = Case(tmp_path, state=State(NEW, (NEW, OLD, older)))
    (tmp_path / "releases" / older.directory).mkdir()
    case.deployer = deployer = Elsewhere(case.releases, OLD)
    case.probation.begin(NEW, "abc")

    assert await case.die()
    assert [older] == deployer.tried
    assert older == case.state_store.state.running


async def test_release_to_fetch_is_put_back_if_none_is_at_hand(tmp_path: Path):
    case = Case(tmp_path)
    case.deployer = deployer = Elsewhere(case.releases, OLD)
    case.probation.begin(NEW, "abc")

    assert not await case.die()
    assert [OLD] == deployer.tried


async def test_version_that_takes_over_while_another_is_fetched_is_not_gone_back_to(
    tmp_path: Path,
):
    """Its after-hook was told of a rollback."""
    newer = Installed("v3", "c", "20310203T060000Z", 3.0)
    case = Case(tmp_path)

    class Overtaken(AssetsDeployer):
        async def put_back(self, previous: Installed) -> None:
            await case.state_store.change(lambda state: state.deployed(newer, 7))

    case.deployer = Overtaken(case.releases)
    case.probation.begin(NEW, "abc")

    assert not await case.die()
    assert newer == case.state_store.state.running
    assert ["v2"] == [each.tag for each in case.state_store.state.quarantine]


async def test_slow_rollback_fetch_is_not_followed_by_another_fetch(
    tmp_path: Path,
):
    """Nothing served meanwhile, for half a minute each."""
    older = Installed("v0", "0", "20310103T040506Z", 0.5)
    case = Case(tmp_path, state=State(NEW, (NEW, OLD, older)))

    class Slow(Elsewhere):
        async def put_back(self, previous: Installed) -> None:
            case.now += 30
            await super().put_back(previous)

    case.deployer = deployer = Slow(case.releases, OLD, older)
    case.probation.begin(NEW, "abc")

    assert not await case.die()
    assert [OLD] == deployer.tried
    assert NEW == case.state_store.state.running
