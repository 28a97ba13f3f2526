"""Whether new backends break connections far more often than the old ones."""

from __future__ import annotations

import pytest

from dewy._speedups.interface import BackendStats
from dewy.proxy.backend import Outcomes, too_broken


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param((100, 6), (1000, 0), True, id="more-than-share"),
        pytest.param((100, 5), (1000, 0), False, id="share-itself"),
        pytest.param((49, 49), (1000, 0), False, id="too-few-connections"),
        pytest.param((50, 50), (1000, 0), True, id="just-enough-connections"),
        pytest.param((100, 30), (1000, 100), True, id="three-times-old-rate"),
        pytest.param((100, 29), (1000, 100), False, id="less-than-three-times"),
        pytest.param((100, 100), (10, 10), False, id="old-as-broken"),
        pytest.param((100, 6), (0, 0), True, id="no-old-connections"),
        pytest.param((0, 0), (0, 0), False, id="no-traffic"),
    ],
)
def test_too_broken_needs_share_count_and_multiple_of_old_rate(
    new: tuple[int, int], old: tuple[int, int], expected: bool
) -> None:
    """At a share of 5 %."""
    assert expected is too_broken(Outcomes(*new), Outcomes(*old), 0.05)


def test_outcomes_are_summed_over_backends_and_replicas() -> None:
    """None at all are zeros."""
    counted = [
        BackendStats(
            total=total,
            active=1,
            bytes_up=0,
            bytes_down=0,
            failures=2,
            suspicions=0,
            broken=broken,
        )
        for total, broken in [(10, 1), (20, 2)]
    ]
    assert Outcomes(30, 3) == Outcomes.of(counted)
    assert Outcomes(31, 3) == Outcomes.total([Outcomes(1, 0), Outcomes.of(counted)])
    assert Outcomes() == Outcomes.of([])
