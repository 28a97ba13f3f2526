"""How values are shown to people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dewy.cli.output import as_json, coloured, columns, localised, moment, period, span

AT = 1_927_825_506.0


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


def test_moment_is_in_the_zone_of_the_host_with_its_offset(tokyo: None) -> None:
    """As the operator's watch tells it."""
    assert "2031-02-03 04:05:06 +09:00" == moment(AT)
    assert "" == moment(None)


def test_period_has_day_and_offset_once_where_they_are_the_same(tokyo: None) -> None:
    assert "2031-02-03 04:05:02 to 04:05:06 +09:00" == period(AT - 4, AT)
    long = "2031-02-02 04:05:06 +09:00 to 2031-02-03 04:05:06 +09:00"
    assert long == period(AT - 86400, AT)
    assert moment(AT) == period(None, AT)


@pytest.mark.parametrize("text", ["2031-02-02 19:05:06 UTC", "2031-02-02T19:05:06Z"])
def test_times_in_sentences_are_told_in_the_zone_of_the_host(
    text: str, tokyo: None
) -> None:
    assert "until 2031-02-03 04:05:06 +09:00: no" == localised(f"until {text}: no")
    assert "2031-99-02 19:05:06 UTC" == localised("2031-99-02 19:05:06 UTC")


def test_columns_stand_under_each_other() -> None:
    """Without blanks at the end of a line."""
    assert ["a    bb", "ccc", "d    e"] == columns(
        [("a", "bb"), ("ccc", ""), ("d", "e")]
    )


def test_json_output_is_single_line() -> None:
    """Of whatever there is."""
    text = as_json({"ä": Path("x"), "n": [1, None]})

    assert "\n" not in text
    assert {"ä": "x", "n": [1, None]} == json.loads(text)


def test_colour_is_omitted_on_dumb_terminal_or_with_no_color(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NO_COLOR says no, and so does a dumb terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31mfailed\x1b[0m" == coloured("failed", "red")

    monkeypatch.setenv("TERM", "dumb")
    assert "failed" == coloured("failed", "red")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "failed" == coloured("failed", "red")
