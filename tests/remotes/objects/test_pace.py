"""Pieces grow with the line."""

from __future__ import annotations

import pytest

from dewy.remotes.objects.source import LEAST, MOST, Pace


class Line:
    """A clock, and how long the next piece takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(lambda: self.now)

    def bring(self, seconds: float) -> int:
        with self.pace.measured():
            self.now += seconds
        return self.pace.length


def test_fast_transfer_grows_piece_length_up_to_limit() -> None:
    line = Line()

    assert [2 * LEAST, 4 * LEAST, MOST, MOST] == [line.bring(0.1) for _ in range(4)]


def test_slow_line_gets_smaller_pieces() -> None:
    line = Line()
    for _ in range(3):
        line.bring(0.1)

    assert [MOST, MOST // 2, MOST // 4] == [line.bring(s) for s in (5, 11, 11)]


def test_failed_piece_resets_piece_length() -> None:
    line = Line()
    line.bring(0.1)

    with pytest.raises(OSError, match="broken"), line.pace.measured():
        raise OSError("broken")

    assert LEAST == line.pace.length
