"""How values are shown to people."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from dewy.cli.output import as_json, columns, moment, span


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0.0s"),
        (0.44, "0.4s"),
        (10, "10s"),
        (310, "5m 10s"),
        (3600, "1h"),
        (90061, "1d 1h"),
    ],
)
def test_span_has_two_units_at_most(seconds: float, expected: str) -> None:
    """Nobody needs the seconds of a day."""
    assert expected == span(seconds)


def test_moment_is_in_the_zone_of_the_host() -> None:
    """As the operator's watch tells it."""
    now = datetime(2031, 2, 3, 4, 5, 6).astimezone()

    assert "2031-02-03 04:05:06" == moment(now.timestamp())
    assert "" == moment(None)


def test_columns_stand_under_each_other() -> None:
    """Without blanks at the end of a line."""
    assert ["a    bb", "ccc", "d    e"] == columns(
        [("a", "bb"), ("ccc", ""), ("d", "e")]
    )


def test_json_is_one_line() -> None:
    """Of whatever there is."""
    text = as_json({"ä": Path("x"), "n": [1, None]})

    assert "\n" not in text
    assert {"ä": "x", "n": [1, None]} == json.loads(text)
