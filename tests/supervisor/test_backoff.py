"""The waits between the deaths of a program."""

from __future__ import annotations

import pytest

from dewy.supervisor.backoff import LASTING, LONGEST, Backoff, Death, Deaths


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


KILLED = Death(3, "signal KILL", 1.5, 100.0, "signal")
TROUBLE = (
    "the program keeps dying: 2 times in a row, "
    "generation 3 last (signal KILL) after 1.5 s"
)


def test_deaths_are_counted_by_reason():
    deaths = Deaths()
    assert ({"exit": 0, "signal": 0}, 0) == (deaths.by_reason, deaths.total)

    deaths.add(Death(2, "exit status 3", 1.0, 99.0))
    deaths.add(KILLED)
    deaths.add(KILLED)

    assert ({"exit": 1, "signal": 2}, 3) == (deaths.by_reason, deaths.total)
    assert KILLED == deaths.last


@pytest.mark.parametrize(
    ("deaths", "lives", "expected"),
    [
        (Deaths(last=KILLED, backoff=Backoff(2)), None, TROUBLE),
        (Deaths(last=KILLED, backoff=Backoff(2)), LASTING - 1, TROUBLE),
        (Deaths(last=KILLED, backoff=Backoff(2)), LASTING, ""),
        (Deaths(last=KILLED, backoff=Backoff(1)), None, ""),
        (Deaths(), None, ""),
    ],
)
def test_repeated_deaths_are_trouble_until_a_generation_lasts(
    deaths: Deaths, lives: float | None, expected: str
):
    assert expected == deaths.trouble(lives)
