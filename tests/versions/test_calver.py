"""Reading calendar versions."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.errors import ConfigError
from dewy.versions.version import calver_pattern, parse_calver


@pytest.mark.parametrize(
    ("format", "name", "numbers"),
    [
        ("YYYY.0M.MICRO", "2024.06.3", (2024, 6, 3)),
        ("YYYY.0M.MICRO", "v2024.06.03", (2024, 6, 3)),
        ("YYYY.MM.DD", "2024.12.31", (2024, 12, 31)),
        ("YYYY-0M-0D", "2024-01-09", (2024, 1, 9)),
        ("YYYY0M0D", "20240109", (2024, 1, 9)),
        ("YY.0W", "24.07", (24, 7)),
        ("YY.WW", "124.53", (124, 53)),
        ("0Y.MICRO", "06.0", (6, 0)),
        ("release-YYYY", "release-2024", (2024,)),
        ("YYYYMICRO", "20247", (2024, 7)),
        ("MM.MM", "12.1", (12, 1)),
    ],
)
def test_reads_a_version(format: str, name: str, numbers: tuple[int, ...]) -> None:
    version = parse_calver(name, format)

    assert version is not None
    assert (name, name) == (version.tag, version.text)
    assert numbers == version.numbers


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("YYYY.0M.MICRO", "2024.6.3"),
        ("YYYY.0M.MICRO", "2024.13.3"),
        ("YYYY.0M.MICRO", "24.06.3"),
        ("YYYY.0M.MICRO", "2024.06"),
        ("YYYY.0M.MICRO", "2024x06x3"),
        ("YYYY.0M.MICRO", "2024.06.3\n"),
        ("YYYY.0M.MICRO", "2024.06.٣"),
        ("YYYY.0M.MICRO", "2024.06." + "1" * 5000),
        ("YYYY.MM.DD", "2024.06.1"),
        ("YYYY.MM.DD", "2024.6.32"),
        ("YYYY.MM.DD", "2024.6.0"),
        ("0Y.0W", "6.01"),
        ("YY.WW", "24.54"),
        ("YY.WW", "24.01"),
    ],
)
def test_version_not_matching_format_is_rejected(format: str, name: str) -> None:
    assert parse_calver(name, format) is None


def test_reads_pre_release_and_slot() -> None:
    version = parse_calver("v2024.06.3-rc.1+blue", "YYYY.0M.MICRO")

    assert version is not None
    assert ("rc.1", "rc", "blue") == (
        version.pre_release,
        version.channel,
        version.slot,
    )


def test_the_first_token_that_fits_is_taken() -> None:
    # YYY is not a token, but begins with one: YY, then a letter.
    version = parse_calver("24Y.1", "YYY.MICRO")

    assert version is not None
    assert (24, 1) == version.numbers


@pytest.mark.parametrize("format", ["", "yyyy.mm", "1.2.3", "(.*)"])
def test_format_without_token_is_rejected_with_example(format: str) -> None:
    with pytest.raises(ConfigError, match=r"YYYY\.0M\.MICRO"):
        calver_pattern(format)


@given(st.dates(), st.dates())
def test_orders_as_the_calendar_does(one: dt.date, other: dt.date) -> None:
    first, second = (
        parse_calver(f"{day:%Y}".zfill(4) + f".{day.month}.{day.day}", "YYYY.MM.DD")
        for day in (one, other)
    )

    assert first is not None
    assert second is not None
    assert (one < other) == (first.key < second.key)
    assert (one == other) == (first.key == second.key)
