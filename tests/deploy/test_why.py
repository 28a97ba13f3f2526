"""Why a version runs, or does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dewy.deploy.history import Record
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import Installed, State
from dewy.deploy.why import Looked, explain
from dewy.errors import NoRelease, RemoteError
from dewy.release import Refusal, Release
from dewy.system import Clock

NOW = 1000.0
CLOCK = Clock(wall=lambda: NOW, monotonic=lambda: 0.0, jitter=lambda: 0.5)
V1 = Installed("v1", "one", "d1", 100.0)
V2 = Installed("v2", "two", "d2", 200.0)
STATE = State(V2, (V2, V1), because="the newest release when it was deployed")
HISTORY = [
    Record(100.0, "v1", "", "deploy", "deployed", "done", "", 1.0),
    Record(150.0, "v0", "v1", "deploy", "failed", "start", "died", 1.0, ("oh",)),
    Record(200.0, "v2", "v1", "deploy", "deployed", "done", "", 1.0),
]


def release(tag: str, *refused: Refusal) -> Looked:
    identity = {"v1": "one", "v2": "two"}.get(tag, tag)
    return Looked.found(Release(tag, "file:///x", identity, refused=refused))


NEWEST = release("v2")


def why(version: str, state: State = STATE, looked: Looked = NEWEST) -> tuple[str, str]:
    answer = explain(version, state, HISTORY, looked, NOW)
    return answer.verdict, "\n".join(answer.why)


def test_running_version_is_reported_as_running() -> None:
    verdict, text = why("v2")

    assert "runs" == verdict
    assert "since 1970-01-01 00:03:20 UTC: the newest release when" in text
    assert "it is the registry's newest" in text
    assert "rollback" not in text


def test_running_version_reports_hold_despite_newer_version() -> None:
    """The reason is the one that polls go by."""
    held = replace(STATE, hold=True)

    assert "held at v2; v3 is newest" in why("v2", held, release("v3"))[1]


def test_after_hook_that_failed_is_told_and_judges_nothing() -> None:
    row = Record(
        201.0, "v2", "v1", "deploy", "hook failed", "after-hook", "exit code 3", 1.0
    )
    row = replace(row, log_tail=("oh",), detail="make: oh")
    newest, before = (
        explain(version, STATE, [*HISTORY, row], NEWEST, NOW)
        for version in ("v2", "v1")
    )

    assert "runs" == newest.verdict
    assert "a hook failed: exit code 3: make: oh" in "\n".join(newest.why)
    assert ("oh",) == newest.records[-1].log_tail
    assert "left" == before.verdict


def test_replaced_version_is_reported_as_left() -> None:
    verdict, text = why("v1")

    assert "left" == verdict
    assert "v2 took its place on 1970-01-01 00:03:20 UTC" in text
    assert "`dewy rollback v1` goes to it" in text


@pytest.mark.parametrize("traffic", [True, False])
def test_quarantined_version_is_reported_with_reason(traffic: bool) -> None:
    """The verdict stands whatever the registry names."""
    bad = Quarantine().add("v3", "v3", "died", CLOCK, traffic=traffic)
    verdict, text = why("v3", replace(STATE, quarantine=bad), release("v3"))

    assert "quarantined" == verdict
    assert "v3 is in quarantine until" in text
    assert text.endswith("died")


def test_version_with_expired_quarantine_is_reported_as_waiting() -> None:
    bad = Quarantine().add("v3", "v3", "died", CLOCK, traffic=False)
    answer = explain(
        "v3", replace(STATE, quarantine=bad), [], release("v3"), NOW + 3600
    )

    assert "waits" == answer.verdict
    assert "tried again after: died" in answer.why[0]


def test_undeployed_newest_version_is_reported_as_waiting() -> None:
    assert ("waits", "it is the registry's newest; the next poll deploys it") == why(
        "v3", looked=release("v3")
    )


def test_version_blocked_by_hold_is_reported_as_held() -> None:
    verdict, text = why("v3", replace(STATE, hold=True), release("v3"))

    assert ("held", "held at v2; v3 is newest") == (verdict, text)


def test_requested_version_is_reported_as_waiting() -> None:
    assert "waits" == why("v9", replace(STATE, wanted="v9"))[0]


def test_excluded_version_is_reported_with_registry_reason() -> None:
    """With its reason, also where it names nothing at all."""
    refused = Refusal("v3-rc.1", "pre-release")
    nothing = Looked.failed(NoRelease("nothing for us", [refused]))
    expected = ("passed over", "the registry has it, but: pre-release")

    assert expected == why("v3-rc.1", looked=release("v2", refused))
    assert expected == why("v3-rc.1", looked=nothing)


def test_failed_version_is_reported_with_failed_step() -> None:
    answer = explain("v0", STATE, HISTORY, NEWEST, NOW)

    assert "failed" == answer.verdict
    assert "it failed at start on 1970-01-01 00:02:30 UTC: died" in answer.why
    assert ("oh",) == answer.records[-1].log_tail


def test_restarted_version_is_not_reported_as_failed() -> None:
    """It was started again, and runs."""
    died = Record(250.0, "v2", "", "restart", "died", "", "exit status 1", 0.0)
    answer = explain("v2", STATE, [*HISTORY, died], NEWEST, NOW)

    assert "failed" != answer.verdict
    assert (
        "it died on 1970-01-01 00:04:10 UTC and was started again: exit status 1"
        in answer.why
    )


def test_unknown_version_is_reported_as_unknown() -> None:
    """That the registry was not reached is said, for it might know more."""
    unreached = Looked.failed(RemoteError("the host is down"))
    verdict, text = why("v9", looked=unreached)

    assert "unknown" == verdict
    assert "the registry says nothing of it: the host is down" == text
    assert ("unknown", "nothing is known of v9 here") == why("v9", looked=Looked())


def test_timed_quarantine_of_outdated_version_is_not_said_to_be_tried() -> None:
    bad = Quarantine().add("v1", "one", "died", CLOCK, traffic=False)
    state = replace(STATE, quarantine=bad)
    answer = explain("v1", state, [], release("v2"), NOW + 3600)

    assert "not tried while v2 is what polls find; it failed: died" in answer.why
    assert not any("due to be tried" in text for text in answer.why)


def test_version_within_grace_period_waits_with_the_time() -> None:
    refused = Refusal("v3", "no artifact for linux/arm64")
    found = release("v2", refused)
    verdict, text = why("v3", looked=replace(found, coming={"v3": NOW + 60}))

    assert "waits" == verdict
    assert "waited for until 1970-01-01 00:17:40 UTC" in text


def test_release_with_missing_files_waits_until_fetched() -> None:
    state = STATE.present({V1.directory})
    away = Looked(problem="the registry is away")
    answer = explain("v2", state, HISTORY, away, NOW)

    assert "waits" == answer.verdict
    told = "its files are gone from this host; v1 runs until it is fetched"
    assert told == answer.why[0]
    assert "runs" == explain("v1", state, HISTORY, away, NOW).verdict
