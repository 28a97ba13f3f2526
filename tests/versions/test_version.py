"""The order of versions, and the channel a pre-release belongs to."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.versions.version import STABLE, Version

IDENTIFIERS = st.text("01289abzAZ-", max_size=4)
PRE_RELEASES = st.lists(IDENTIFIERS, max_size=4).map(".".join)
NUMBERS = st.tuples(*[st.integers(0, 3)] * 3)
VERSIONS = st.builds(Version, st.just(""), st.just(""), NUMBERS, PRE_RELEASES)

# Lowest first: the example of semver.org §11, and what this scheme adds to it.
ASCENDING = [
    "-9223372036854775808",
    "-1000",
    "-200",
    "-10",
    "-5",
    "0",
    "2",
    "11",
    "200",
    "1000",
    "9223372036854775807",
    "-9223372036854775809",
    "10000000000000000000",
    "9223372036854775808",
    "alpha",
    "alpha.1",
    "alpha.beta",
    "beta",
    "beta.2",
    "beta.11",
    "rc.1",
    "",
]


def version(pre_release: str, *, slot: str = "") -> Version:
    return Version("", "", (1, 0, 0), pre_release, slot)


def test_orders_by_numbers_not_by_text() -> None:
    older = Version("", "", (1, 9, 0))
    newer = Version("", "", (1, 10, 0))

    assert older.key < newer.key


def test_orders_pre_releases_identifier_by_identifier() -> None:
    for lower, higher in pairwise(ASCENDING):
        assert version(lower).key < version(higher).key, (lower, higher)


@pytest.mark.parametrize(("one", "other"), [("-0", "0"), ("rc.01", "rc.1")])
def test_equal_integers_are_of_equal_precedence(one: str, other: str) -> None:
    assert version(one).key == version(other).key


def test_an_integer_too_large_for_64_bits_counts_as_text() -> None:
    assert version("99").key < version("9223372036854775808").key
    assert version("9223372036854775808").key < version("99x").key


def test_the_slot_has_no_part_in_the_order() -> None:
    assert version("rc.1", slot="blue").key == version("rc.1", slot="green").key


@given(st.lists(VERSIONS, min_size=3, max_size=3))
def test_any_three_versions_can_be_ordered(versions: list[Version]) -> None:
    low, middle, high = sorted(versions, key=lambda item: item.key)

    assert low.key <= middle.key <= high.key
    assert low.key <= high.key
    assert (low.key == high.key) == (not low.key < high.key)


@given(NUMBERS, PRE_RELEASES.filter(bool))
def test_a_pre_release_comes_before_its_release(
    numbers: tuple[int, ...], pre_release: str
) -> None:
    before = Version("", "", numbers, pre_release)

    assert before.key < Version("", "", numbers).key


@pytest.mark.parametrize(
    ("pre_release", "expected"),
    [
        ("", STABLE),
        ("beta", "beta"),
        ("beta.3", "beta"),
        ("rc1", "rc"),
        ("RC.1", "rc"),
        ("rc-1", "rc"),
        ("feature-x.4", "feature-x"),
        ("20240601.2", "20240601"),
        ("-.1", "-"),
    ],
)
def test_the_channel_is_the_leading_word(pre_release: str, expected: str) -> None:
    assert expected == version(pre_release).channel
