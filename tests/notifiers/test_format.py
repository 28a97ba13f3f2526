"""Durations and output, as people are told them."""

from __future__ import annotations

import pytest

from dewy.notifiers.format import CUT, LINES, duration, tail


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.254, "0.25 s"),
        (9.99, "9.99 s"),
        (40.4, "40 s"),
        (60, "1 min"),
        (3780, "1 h 3 min"),
        (3605, "1 h"),
        (90000, "1 d 1 h"),
    ],
)
def test_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert words == duration(seconds)


def test_short_output_is_not_truncated() -> None:
    assert "a\nb" == tail("a\nb")


def test_of_a_log_the_end_is_kept() -> None:
    shown = tail("\n".join(map(str, range(100))))

    assert shown.startswith("...\n50\n")
    assert shown.endswith("\n99")
    assert LINES + 1 == len(shown.split("\n"))
    assert CUT + len("...\n") == len(tail("ä" * 5000).encode())
    assert shown == tail(shown)
