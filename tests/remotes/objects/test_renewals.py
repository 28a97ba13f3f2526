"""A bucket that refuses every call costs no new client each time."""

from __future__ import annotations

from dewy.remotes.objects.store import Renewals


def test_few_renewals_are_permitted_in_a_minute() -> None:
    """Somebody may try twice; what is refused for good is refused all day."""
    now = 0.0
    renewals = Renewals(lambda: now)

    assert [True] * 3 + [False] * 2 == [renewals.permitted() for _ in range(5)]
    now = 61.0
    assert [True] * 3 + [False] == [renewals.permitted() for _ in range(4)]


def test_renewals_far_apart_are_always_permitted() -> None:
    times = iter(range(0, 10_000, 25))
    renewals = Renewals(lambda: float(next(times)))

    assert all(renewals.permitted() for _ in range(100))
