"""Findings and what they come to."""

from __future__ import annotations

import pytest

from dewy.checks.finding import Finding, Level, exit_status


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((), 0),
        ((Level.OK, Level.ATTENTION), 0),
        ((Level.FAILURE, Level.OK), 1),
        ((Level.FAILURE, Level.MISTAKE), 2),
    ],
)
def test_exit_status_is_that_of_the_worst(
    levels: tuple[Level, ...], expected: int
) -> None:
    """As of the command itself."""
    assert expected == exit_status(Finding(level, "x", "y") for level in levels)


def test_finding_line_shows_level_subject_and_advice() -> None:
    """Where there is something to do."""
    assert "ok:        port: 80 is free" == str(Finding(Level.OK, "port", "80 is free"))
    assert str(Finding(Level.FAILURE, "port", "taken", "stop it")).endswith("→ stop it")
