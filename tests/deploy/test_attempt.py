"""A deployment as the log and the trace tell it."""

from __future__ import annotations

import logging

import pytest

from dewy.deploy.changes import Attempt


def test_each_step_is_logged_once_with_id(caplog: pytest.LogCaptureFixture) -> None:
    """Of level INFO, and all with the id."""
    caplog.set_level(logging.DEBUG)
    attempt = Attempt("v2", "v1", "deploy", 0.0, id="abc")
    for step in ("fetch", "start", "done"):
        attempt.reach(step)

    told = [(r.levelname, r.msg, r.__dict__["step"]) for r in caplog.records]
    assert [
        ("INFO", "Deployment started", "fetch"),
        ("INFO", "Deployment step", "start"),
        ("INFO", "Deployed", "done"),
    ] == told
    for record in caplog.records:
        said = record.__dict__
        assert ("abc", "v2", "v1") == (said["deployment"], said["tag"], said["from"])


def test_failure_names_its_step(caplog: pytest.LogCaptureFixture) -> None:
    attempt = Attempt("v2", "", "deploy", 0.0)
    attempt.reach("fetch")
    attempt.fail("no such file")

    said = caplog.records[-1].__dict__
    assert ("ERROR", "fetch", "no such file") == (
        said["levelname"],
        said["step"],
        said["error"],
    )


def test_ids_differ() -> None:
    ids = {Attempt("v1", "", "deploy", 0.0).id for _ in range(100)}

    assert 100 == len(ids)


def test_steps_are_marked_as_they_are_taken() -> None:
    """The first when it all began, by the clock that does not jump."""
    attempt = Attempt("v2", "v1", "deploy", 10.0)
    attempt.reach("fetch")
    attempt.mark("start")
    attempt.outcome = "failed"

    assert ["fetch", "start"] == [step for step, _ in attempt.marks]
    assert 10.0 == attempt.marks[0][1]
    assert 10.0 < attempt.marks[1][1]


def test_attempts_keep_their_own_marks() -> None:
    """One of two at a time must not show in the other."""
    one, other = (Attempt(tag, "", "deploy", 0.0, "start") for tag in ("v1", "v2"))

    assert one.marks is not other.marks
    assert ["start"] == [step for step, _ in other.marks]


def test_idle_step_is_logged_and_not_told() -> None:
    """People who wait would take it for a hook that runs."""
    told: list[str] = []
    attempt = Attempt("v2", "v1", "deploy", 0.0, listener=told.append)
    attempt.reach("fetch")
    attempt.reach("before-hook", idle=True)
    attempt.reach("start")

    assert ["fetching v2", "starting v2"] == told
    assert ["fetch", "before-hook", "start"] == [step for step, _ in attempt.marks]
