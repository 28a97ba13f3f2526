from __future__ import annotations

import pytest

from dewy.supervisor.backoff import LASTING, Backoff, Death, Deaths

DEATH = Death(generation=4, how="exit status 3", lived=2.0, at=1_927_857_906.0)


def died(row: int) -> Deaths:
    deaths = Deaths(backoff=Backoff(row))
    deaths.add(DEATH)
    return deaths


@pytest.mark.parametrize("lives", [None, 0.5, LASTING - 1])
def test_second_death_in_a_row_is_trouble_until_a_generation_lasts(
    lives: float | None,
) -> None:
    trouble = died(2).trouble(lives)

    assert "2 times in a row" in trouble
    assert trouble.endswith("generation 4 last (exit status 3) after 2.0 s")


@pytest.mark.parametrize(("row", "lives"), [(1, 0.5), (2, LASTING), (0, None)])
def test_death_that_was_answered_well_is_no_trouble(
    row: int, lives: float | None
) -> None:
    assert "" == died(row).trouble(lives)


def test_deaths_are_counted() -> None:
    deaths = Deaths()
    assert (0, None, "") == (deaths.total, deaths.last, deaths.trouble(None))
    deaths.add(DEATH)

    assert (1, DEATH) == (deaths.total, deaths.last)
    assert {"exit": 1, "signal": 0} == deaths.by_reason
