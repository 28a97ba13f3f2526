"""Choosing what leaves a full cache."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.caches import CacheEntry, make_room, segments

HELD = [
    CacheEntry("new", 10, 3.0),
    CacheEntry("old", 10, 1.0),
    CacheEntry("middle", 10, 2.0),
]


def test_nothing_leaves_while_there_is_room() -> None:
    assert [] == make_room(HELD, size=70, limit=100, retained=())


def test_longest_unused_leaves_first_and_no_more_than_needed() -> None:
    evicted = make_room(HELD, size=75, limit=100, retained=())

    assert ["old"] == [value.key for value in evicted or ()]


def test_retained_value_is_passed_over() -> None:
    evicted = make_room(HELD, size=75, limit=100, retained=["old"])

    assert ["middle"] == [value.key for value in evicted or ()]


def test_value_that_cannot_fit_causes_no_eviction() -> None:
    assert make_room(HELD, size=101, limit=100, retained=()) is None
    assert make_room(HELD, size=95, limit=100, retained=["new"]) is None


held = st.builds(
    CacheEntry, key=st.text(max_size=3), size=st.integers(0, 50), used=st.floats(0, 9)
)


@given(
    st.lists(held, max_size=8, unique_by=lambda value: value.key),
    st.integers(0, 100),
    st.sets(st.text(max_size=3)),
)
def test_limit_holds_and_retained_values_stay(
    present: list[CacheEntry], size: int, retained: set[str]
) -> None:
    """Whatever is held: it fits afterwards, or nothing has left."""
    evicted = make_room(present, size=size, limit=100, retained=retained)

    pinned = sum(value.size for value in present if value.key in retained)
    assert (evicted is None) == (pinned + size > 100)
    if evicted is not None:
        assert not retained & {value.key for value in evicted}
        kept = sum(value.size for value in present if value not in evicted)
        assert kept + size <= 100


def test_key_is_taken_apart() -> None:
    assert ["0123456789abcdef", "v1.0.0--a b.tgz"] == segments(
        "0123456789abcdef/v1.0.0--a b.tgz"
    )


@pytest.mark.parametrize("key", ["", "/", "a/", "/a", "a//b", "a/../b", ".a", "a\0"])
def test_key_that_could_lead_elsewhere_is_illegal(key: str) -> None:
    with pytest.raises(ValueError, match="illegal"):
        segments(key)
