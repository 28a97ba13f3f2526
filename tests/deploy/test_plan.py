"""Deciding (pure): what runs, what is new, what is kept out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dewy.deploy.plan import (
    Action,
    decides_alike,
    in_grace,
    is_met,
    not_tried,
    outdated_by,
    plan,
    refuse_held,
    refuse_start,
    undone_by,
)
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import Installed, State
from dewy.errors import NoRelease, NotYet
from dewy.release import Release
from dewy.system import Clock, utc
from dewy.versions import precedence

NOW = 1_000_000.0
CLOCK = Clock(wall=lambda: NOW, jitter=lambda: 0.5)


def release(tag: str, identity: str = "sha256:a") -> Release:
    return Release(tag, f"file:///registry/{tag}/app.tgz", identity)


def running(tag: str, identity: str = "sha256:a", **state: object) -> State:
    installed = Installed(tag, identity, "20310203T040506Z", 1.0)
    return State(running=installed, installed=(installed,), **state)  # type: ignore[arg-type]


def decide(state: State, wanted: Release, now: float = NOW) -> Action:
    return plan(state, wanted, now).action


def test_the_first_release_is_deployed():
    decided = plan(State(), release("v1"), NOW)

    assert (Action.DEPLOY, "v1 is new") == (decided.action, decided.reason)


def test_running_version_is_not_redeployed():
    decided = plan(running("v1"), release("v1"), NOW)

    assert (Action.SKIP, "v1 runs") == (decided.action, decided.reason)


def test_a_new_version_is_deployed():
    assert Action.DEPLOY is decide(running("v1"), release("v2"))


def test_withdrawn_version_is_replaced_by_next_lower_version():
    assert Action.DEPLOY is decide(running("v2"), release("v1"))


def test_a_replaced_artifact_under_the_same_tag_is_deployed():
    assert Action.DEPLOY is decide(running("v1"), release("v1", "sha256:b"))


def test_release_without_identity_is_matched_by_tag():
    assert Action.SKIP is decide(running("v1", ""), release("v1"))
    assert Action.DEPLOY is decide(running("", ""), release("v1"))


def failed(
    tag: str, identity: str = "sha256:a", *, traffic: bool = False
) -> Quarantine:
    return Quarantine().add(tag, identity, "it crashed", CLOCK, traffic=traffic)


def test_a_failed_version_is_waited_for_and_the_reason_told():
    decided = plan(running("v1", quarantine=failed("v2")), release("v2"), NOW)

    assert Action.WAIT is decided.action
    assert (
        "v2 is in quarantine until 1970-01-12 13:47:40 UTC: it crashed"
        == decided.reason
    )


def test_a_failed_version_is_tried_again_when_its_time_has_come():
    state = running("v1", quarantine=failed("v2"))

    assert Action.DEPLOY is decide(state, release("v2"), NOW + 61)


def test_a_version_that_failed_with_traffic_does_not_come_back_by_itself():
    state = running("v1", quarantine=failed("v2", traffic=True))
    decided = plan(state, release("v2"), NOW + 10**9)

    told = "v2 is in quarantine until it is replaced, or `dewy retry v2`: it crashed"
    assert (Action.WAIT, told) == (decided.action, decided.reason)


def test_a_failed_version_is_passed_over_where_nothing_runs():
    assert Action.PASS_OVER is decide(State(quarantine=failed("v2")), release("v2"))


def test_a_failed_version_whose_bytes_changed_is_tried_at_once():
    state = running("v1", quarantine=failed("v2", traffic=True))

    assert Action.DEPLOY is decide(state, release("v2", "sha256:mended"))


def test_hold_keeps_the_version():
    decided = plan(running("v1", hold=True), release("v2"), NOW)

    assert Action.WAIT is decided.action
    assert "held at v1; v2 is newest" == decided.reason


def test_hold_does_not_keep_an_empty_root_empty():
    assert Action.DEPLOY is decide(replace(State(), hold=True), release("v1"))


def test_newest_release_is_met_if_running_or_blocked_by_operator():
    by_operator = Quarantine().add("v2", "sha256:a", "no", CLOCK, traffic=True, by="x")

    assert is_met(running("v1"), release("v1"))
    assert is_met(running("v1", hold=True), release("v2"))
    assert is_met(running("v1", quarantine=by_operator), release("v2"))


def test_newest_release_is_not_met_if_pending_failed_or_unknown():
    assert not is_met(running("v1", quarantine=failed("v2")), release("v2"))
    assert not is_met(running("v1"), release("v2"))
    assert not is_met(running("v1"), None)
    assert not is_met(State(), release("v1"))


def test_release_dated_far_ahead_is_not_on_its_way_for_ever():
    missing = NoRelease("none", since=utc(NOW + 2 * 365 * 86400))

    assert not in_grace(missing, NOW, 1800)
    assert in_grace(NoRelease("none", since=utc(NOW + 60)), NOW, 1800)


@pytest.mark.parametrize(("age", "expected"), [(59, True), (60, False), (None, False)])
def test_grace_period_has_an_end(age: float | None, expected: bool):
    since = None if age is None else utc(NOW - age)

    assert expected is in_grace(NoRelease("none", since=since), NOW, 60)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("v1.1.0", "v1.6.0"), ("v1.6.0+b", ""), ("v1.7.0", ""), ("nightly", "")],
)
def test_version_older_than_running_is_outdated(tag: str, expected: str) -> None:
    running = Installed("v1.6.0", "six", "d6", 1.0)

    assert expected == outdated_by(State(running, (running,)), tag, precedence)
    assert "" == outdated_by(State(), tag, precedence)


@pytest.mark.parametrize(
    "state",
    [running("nightly"), running("v1.2.0", quarantine=failed("v1.2.0", traffic=True))],
    ids=["no version", "stopgap"],
)
def test_nothing_is_older_than_stopgap_or_unordered_name(state: State) -> None:
    assert "" == outdated_by(state, "v1.1.0", precedence)
    assert "" == not_tried(state, "v1.1.0", "", precedence)


def test_stopgap_keeps_no_version_from_being_tried() -> None:
    state = running("v1.2.0", quarantine=failed("v1.2.0", traffic=True))

    assert "" == not_tried(state, "v1.3.0", "v1.4.0", precedence)


def test_quarantined_version_that_runs_is_tried() -> None:
    assert "" == not_tried(running("v1", hold=True), "v1", "v2", precedence)


@pytest.mark.parametrize(
    ("newest", "hold", "expected"),
    [
        ("v1.4.0", False, "not tried while v1.4.0 is what polls find"),
        ("v1.4.0", True, "not tried while held at v1.2.0"),
        ("v1.3.0", True, "not tried while held at v1.2.0"),
        ("v1.3.0", False, ""),
        ("", False, ""),
    ],
)
def test_quarantined_version_that_polls_do_not_try_has_a_reason(
    newest: str, hold: bool, expected: str
) -> None:
    running = Installed("v1.2.0", "two", "", 0.0)
    state = State(running, (running,), hold=hold)

    assert expected == not_tried(state, "v1.3.0", newest, precedence)
    assert "" == not_tried(State(), "v1.3.0", newest, precedence)


def test_quarantined_version_older_than_running_is_not_retried() -> None:
    running = Installed("v1.2.0", "two", "", 0.0)
    told = not_tried(State(running, (running,)), "v1.1.0", "", precedence)

    assert "not tried while v1.2.0 runs, which is newer" == told


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"running": None}, False),
        ({"hold": True}, False),
        ({"quarantine": failed("v2")}, False),
        ({"back_at": 1.0}, False),
        ({"wanted": "v2", "because": "asked for", "installed": ()}, True),
    ],
)
def test_decisions_are_alike_unless_their_fields_differ(
    changes: dict[str, object], expected: bool
) -> None:
    state = running("v1")

    assert expected is decides_alike(state, replace(state, **changes))  # type: ignore[arg-type]


V2 = Installed("v2", "sha256:a", "", 0.0)
FOR_GOOD = failed("v2", traffic=True)


@pytest.mark.parametrize("provisional", [False, True])
def test_hold_refuses_other_versions(provisional: bool) -> None:
    state = running("v1", hold=True, provisional=provisional)

    with pytest.raises(NotYet, match=r"^held at v1; v2 waits$"):
        refuse_held(state, V2)
    with pytest.raises(NotYet, match=r"^held at v1; v2 waits$"):
        refuse_start(state, release("v2"), NOW, named=not provisional)


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (running("v1"), False),
        (State(hold=True), False),
        (running("v2", hold=True), False),
        (running("v1", hold=True, provisional=True), True),
    ],
    ids=["no hold", "nothing runs", "runs", "provisional and named"],
)
def test_hold_refuses_nothing_else(state: State, named: bool) -> None:
    refuse_held(state, V2, named=named)
    refuse_start(state, release("v2"), NOW, named=named)


@pytest.mark.parametrize(
    "state",
    [
        State(quarantine=FOR_GOOD),
        running("v1", quarantine=FOR_GOOD),
        running("v1", quarantine=failed("v2")),
        running("v2", quarantine=failed("v2")),
    ],
)
def test_start_of_quarantined_version_is_refused_unless_named(state: State) -> None:
    with pytest.raises(NotYet, match=r"^v2 is in quarantine until .*: it crashed$"):
        refuse_start(state, release("v2"), NOW, named=False)
    refuse_start(state, release("v2"), NOW, named=True)


@pytest.mark.parametrize(
    "state",
    [
        running("v2", quarantine=FOR_GOOD),
        running("v1", quarantine=Quarantine().add("v2", "b", "", CLOCK, traffic=True)),
    ],
    ids=["runs and is fetched again", "other bytes"],
)
def test_start_is_not_refused_for_quarantine_of_another_kind(state: State) -> None:
    refuse_start(state, release("v2"), NOW, named=False)


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (None, ""),
        ("v1.2.0", ""),
        ("v1.1.0", "polls find v1.1.0"),
        ("v1.2.0+b", "v1.2.0+b is newer"),
        ("v1.3.0", "v1.3.0 is newer"),
        ("nightly", "nightly is newer"),
    ],
)
def test_deployment_that_polls_would_undo_has_a_reason(
    newest: str | None, expected: str
) -> None:
    found = None if newest is None else release(newest, "sha256:other")

    assert expected == undone_by(found, release("v1.2.0"), precedence)
    if newest and expected:
        unordered = undone_by(found, release("latest"), precedence)
        assert f"{newest} is newer" == unordered
