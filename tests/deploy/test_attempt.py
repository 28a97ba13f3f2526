"""A change of version under way."""

from __future__ import annotations

from dewy.deploy.attempt import Attempt


def test_steps_are_marked_as_they_are_taken() -> None:
    """The first when it all began, by the clock that does not jump."""
    attempt = Attempt("v2", "v1", "deploy", 10.0)
    attempt.step = "start"
    attempt.outcome = "failed"

    assert ["fetch", "start"] == [step for step, _ in attempt.marks]
    assert 10.0 == attempt.marks[0][1]
    assert 10.0 < attempt.marks[1][1]


def test_attempts_keep_their_own_marks() -> None:
    """One of two at a time must not show in the other."""
    one, other = (Attempt(tag, "", "deploy", 0.0, "start") for tag in ("v1", "v2"))

    assert one.marks is not other.marks
    assert ["start"] == [step for step, _ in other.marks]
