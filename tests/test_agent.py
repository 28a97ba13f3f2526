"""One deployment after the other, over remotes in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dewy import follow_up
from dewy.errors import (
    ArchiveError,
    ChecksumError,
    DeploymentError,
    DewyError,
    HookFailed,
    NoRelease,
    NotYet,
    RemoteError,
)
from tests.eventually import eventually
from tests.standins.agents import BEGUN, acting, version

MINUTE = 60
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


async def test_new_release_is_deployed_reported_and_announced(hands, tmp_path):
    hands.publish("v1.0.0")
    await hands.tick()
    hands.publish("v1.1.0")
    await hands.tick()

    assert "v1.1.0" == version(tmp_path)
    assert ["v1.0.0", "v1.1.0"] == [d.release.tag for d in hands.store.reports]
    first, second = await hands.history()
    assert ("deployed", "done", "v1.0.0") == (
        second.outcome,
        second.step,
        second.previous,
    )
    assert "" == first.previous
    assert "v1.1.0 runs" == hands.announced[-1]
    await eventually(lambda: "Files switched for v1.1.0" in hands.told())


async def test_current_release_is_not_redeployed(hands):
    hands.publish("v1.0.0")
    await hands.tick()
    before = hands.agent.state
    await hands.tick()

    assert before == hands.agent.state
    assert "v1.0.0 runs" == hands.agent.status_reason
    assert 1 == len(hands.store.reports)


async def test_a_failed_release_is_told_kept_out_and_tried_again_later(hands, tmp_path):
    """It used to be skipped for ever as if it ran, and nobody heard of it again."""
    hands.publish("v1.0.0")
    await hands.tick()
    hands.publish("v1.1.0", b"no archive")
    with pytest.raises(ArchiveError):
        await hands.tick()
    await hands.tick()

    assert "v1.0.0" == version(tmp_path)
    assert hands.agent.status_reason.startswith("v1.1.0 is in quarantine until 2033-")
    assert "v1.0.0 runs; v1.1.0 failed at unpack" == hands.announced[-1]
    failed = (await hands.history())[1]
    assert ("failed", "unpack") == (failed.outcome, failed.step)
    assert failed.reason in hands.agent.status_reason
    await eventually(
        lambda: hands.told()[-1].endswith(f"{failed.reason}; v1.0.0 keeps running")
    )
    hands.now = BEGUN + MINUTE
    with pytest.raises(ArchiveError):
        await hands.tick()
    hands.now += MINUTE
    await hands.tick()
    assert 3 == len(await hands.history())


async def test_other_bytes_under_a_tag_are_a_new_candidate(hands, tmp_path):
    """Whether the ones before failed or run."""
    hands.publish("v1.0.0", b"no archive")
    with pytest.raises(ArchiveError):
        await hands.tick()
    hands.publish("v1.0.0")
    await hands.tick()
    before = hands.agent.state.running
    hands.publish("v1.0.0")
    await hands.tick()

    assert before.identity != hands.agent.state.running.identity
    assert before.directory != hands.agent.state.running.directory
    assert "v1.0.0" == version(tmp_path)


async def test_quarantined_version_is_passed_over_where_nothing_runs(hands, tmp_path):
    """It used to keep an empty host empty for an hour at a time."""
    hands.publish("v1.0.0")
    hands.publish("v1.1.0", b"no archive")
    with pytest.raises(ArchiveError):
        await hands.tick()
    await hands.tick()

    assert "v1.0.0" == version(tmp_path)
    assert ["v1.1.0"] == [each.name for each in hands.agent.passed_over]
    assert "v1.1.0 passed over" not in hands.agent.status_reason
    hands.now += MINUTE
    with pytest.raises(ArchiveError):
        await hands.agent.tick()
    assert "v1.0.0" == version(tmp_path)


async def test_quarantined_version_is_waited_for_while_something_serves(hands):
    """Nothing between what serves and the newest is tried instead."""
    hands.publish("v1.0.0")
    await hands.agent.tick()
    hands.publish("v1.1.0")
    hands.publish("v1.2.0", b"no archive")
    with pytest.raises(ArchiveError):
        await hands.agent.tick()
    await hands.agent.tick()

    assert "v1.0.0" == hands.agent.state.running.tag
    assert hands.agent.status_reason.startswith("v1.2.0 is in quarantine")


async def test_version_for_other_hosts_does_not_hide_ours(hands, tmp_path):
    hands.publish("v1.0.0")
    hands.store.publish("v1.1.0", {"app_plan9_mips.tar.gz": b""}, at=LONG_AGO)
    hands.store.publish("v1.2.0", {})
    await hands.agent.tick()

    assert "v1.0.0" == version(tmp_path)
    assert ["v1.2.0", "v1.1.0"] == [each.name for each in hands.agent.passed_over]
    assert "passed over: v1.2.0, v1.1.0" in hands.agent.state.because


async def test_version_that_is_gone_makes_way_after_two_lists(hands, tmp_path):
    """A list with a hole in it must not turn a host back."""
    hands.publish("v1.0.0")
    hands.publish("v1.1.0")
    await hands.agent.tick()
    hands.store.withdraw("v1.1.0")
    await hands.agent.tick()
    assert "v1.1.0" == version(tmp_path)
    assert "v1.1.0 runs, and is missing in the registry" == hands.agent.status_reason
    await hands.agent.tick()

    assert "v1.0.0" == version(tmp_path)
    assert "v1.1.0 was withdrawn" == hands.agent.state.because


async def test_version_missing_once_stays(hands, tmp_path):
    hands.publish("v1.0.0")
    hands.publish("v1.1.0")
    await hands.agent.tick()
    for _ in range(3):
        gone = hands.store.releases.pop("v1.1.0")
        await hands.agent.tick()
        hands.store.releases["v1.1.0"] = gone
        await hands.agent.tick()

    assert "v1.1.0" == version(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "error", "step"),
    [
        ({"digest": "sha256:" + "0" * 64}, ChecksumError, "fetch"),
        ({}, RemoteError, "fetch"),
    ],
    ids=["digest", "store"],
)
async def test_artifact_failing_fetch_or_checksum_is_not_unpacked(
    hands, tmp_path, wrong, error, step
):
    hands.publish("v1.0.0", **wrong)
    if not wrong:
        hands.store.fail("fetch", RemoteError("broken off"))
    with pytest.raises(error):
        await hands.tick()

    assert step == (await hands.history())[0].step
    assert not (tmp_path / "releases").exists()
    assert [] == list((hands.private / "staging").iterdir())


async def test_a_release_that_is_being_replaced_is_waited_for(hands):
    """No failure: nothing is kept out, and nobody is told."""
    hands.publish("v1.0.0")
    hands.store.fail("fetch", NotYet("changed while it was read"))
    with pytest.raises(NotYet):
        await hands.tick()
    assert [] == await hands.history()
    assert not list(hands.agent.state.quarantine)
    await hands.tick()

    assert "v1.0.0" == hands.agent.state.running.tag


async def test_a_release_on_its_way_is_waited_for_a_while(hands):
    """Half an hour without an artifact is normal, longer is an error."""
    published = datetime.fromtimestamp(BEGUN, UTC)
    hands.store.publish("v1.0.0", {}, at=published)
    await hands.tick()
    assert "may still be on its way" in hands.agent.status_reason
    hands.store.fail("current", NotYet("being written"))
    await hands.tick()
    assert "being written" == hands.agent.status_reason

    hands.now = BEGUN + 31 * MINUTE
    with pytest.raises(NoRelease):
        await hands.tick()


async def test_a_registry_that_does_not_answer_is_given_up_on(hands, monkeypatch):
    """It used to stop all polling, silently."""
    monkeypatch.setattr(follow_up, "REGISTRY_DEADLINE", 0.01)

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(type(hands.agent.registry), "candidates", staticmethod(never))
    with pytest.raises(DewyError, match=r"no answer within 0\.01 s"):
        await hands.tick()


async def test_a_report_that_fails_is_no_failure(hands):
    hands.publish("v1.0.0")
    hands.store.fail("report", RemoteError("read only"))
    await hands.tick()

    assert ["deployed"] == [record.outcome for record in await hands.history()]
    assert [] == hands.store.reports


async def test_hold_changes_no_version(hands):
    hands.publish("v1.0.0")
    await hands.tick()
    await hands.agent.state_store.change(lambda state: replace(state, hold=True))
    hands.publish("v1.1.0")
    await hands.tick()

    assert "held at v1.0.0; v1.1.0 is newest" == hands.agent.status_reason


async def test_a_before_hook_that_fails_ends_the_deployment(tmp_path):
    async with acting(tmp_path, before_deploy_hook="echo no room >&2; exit 3") as hands:
        hands.publish("v1.0.0")
        with pytest.raises(HookFailed, match="exit code 3"):
            await hands.tick()

        record = (await hands.history())[0]
        assert ("before-hook", ("no room",)) == (record.step, record.log_tail)
        assert not (tmp_path / "releases").exists()


async def test_unpacked_release_is_removed_if_start_fails(hands, tmp_path, monkeypatch):
    """A start that failed used to leave a directory with every poll."""

    async def refuse(*_: object) -> None:
        raise DeploymentError("no")

    monkeypatch.setattr(type(hands.releases), "switch", refuse)
    hands.publish("v1.0.0")
    with pytest.raises(DeploymentError):
        await hands.tick()

    assert [] == list((tmp_path / "releases").iterdir())
    assert "start" == (await hands.history())[0].step
    assert ["v1.0.0"] == [entry.tag for entry in hands.agent.state.quarantine]


async def test_releases_are_pruned_by_state_not_by_mtime(tmp_path):
    """Not by the time of the last change, which applications move."""
    async with acting(tmp_path, keep=2) as hands:
        for minor in range(4):
            hands.publish(f"v1.{minor}.0")
            await hands.tick()
            (tmp_path / "current" / "log").touch()

        kept = {path.name for path in (tmp_path / "releases").iterdir()}
        installed = hands.agent.state.installed
        assert {each.directory for each in installed} == kept
        assert ["v1.3.0", "v1.2.0"] == [each.tag for each in installed]


async def test_failed_state_write_keeps_running_release(hands, tmp_path):
    """`running` is written before anything is relied on."""
    hands.publish("v1.0.0")
    await hands.tick()
    hands.publish("v1.1.0")
    file = hands.agent.state_store._file
    write, file.path = file.path, tmp_path / "missing" / "state.json"
    with pytest.raises(OSError, match="missing"):
        await hands.tick()
    file.path = write

    assert "v1.0.0" == version(tmp_path)
    assert "v1.0.0" == hands.agent.state.running.tag
    assert [] == [entry.tag for entry in hands.agent.state.quarantine]


async def test_quarantine_of_a_version_that_is_gone_for_long_is_dropped(hands):
    hands.publish("v1.0.0")
    await hands.tick()
    hands.publish("v1.1.0", b"no archive")
    with pytest.raises(DewyError):
        await hands.tick()
    del hands.store.releases["v1.1.0"]
    await hands.tick()
    (entry,) = hands.agent.state.quarantine
    assert entry.absent_since is not None

    hands.now += 31 * 86400
    await hands.tick()
    assert () == hands.agent.state.quarantine.entries
