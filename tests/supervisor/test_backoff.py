"""The waits between the deaths of a program."""

from __future__ import annotations

from dewy.supervisor.backoff import LASTING, LONGEST, Backoff


def after(*lives: float) -> Backoff:
    backoff = Backoff()
    for lived in lives:
        backoff = backoff.died(lived)
    return backoff


def test_the_first_death_is_answered_at_once():
    assert 0 == after(3.0).delay


def test_each_further_death_waits_longer():
    delays = [after(*[0.1] * deaths).delay for deaths in range(1, 6)]

    assert [0, 1, 1.5, 2.25, 3.375] == delays


def test_no_wait_is_longer_than_the_longest():
    assert LONGEST == after(*[0.0] * 1000).delay


def test_a_generation_that_lasted_starts_the_row_anew():
    assert 0 == after(0, 0, 0, LASTING).delay
