"""Coarse deadlines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dewy._speedups.wheel_py import Wheel

TICK = 0.5


def test_due_things_are_taken_once() -> None:
    """And others stay."""
    wheel: Wheel[str] = Wheel(TICK)
    wheel.put("soon", 1.0)
    wheel.put("later", 9.0)
    assert ["soon"] == wheel.take(2.0)
    assert [] == wheel.take(2.0)
    assert 1 == len(wheel)


def test_last_word_counts() -> None:
    """Moving a deadline forgets the one before."""
    wheel: Wheel[str] = Wheel(TICK)
    wheel.put("thing", 1.0)
    wheel.put("thing", 5.0)
    assert [] == wheel.take(4.0)
    wheel.drop("thing")
    wheel.drop("thing")
    assert [] == wheel.take(9.0)


@given(st.lists(st.floats(0, 100), max_size=30), st.floats(0, 100))
def test_nothing_is_early_nor_more_than_a_tick_late(
    dues: list[float], now: float
) -> None:
    """Whatever the deadlines are."""
    wheel: Wheel[int] = Wheel(TICK)
    for thing, due in enumerate(dues):
        wheel.put(thing, due)
    taken = set(wheel.take(now))
    for thing, due in enumerate(dues):
        if due > now:
            assert thing not in taken
        if due <= now - TICK:
            assert thing in taken
