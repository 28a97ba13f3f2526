"""The last lines of several streams."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dewy.supervisor.output import LINE_LIMIT, LogTail


def test_lines_are_in_the_order_in_which_they_ended() -> None:
    tail = LogTail()
    tail.add("out", b"one\ntw")
    tail.add("err", b"three\nfo")
    tail.add("out", b"o\n")

    assert ("one", "three", "two", "fo") == tail.last(10)
    assert ("two", "fo") == tail.last(2)


def test_long_line_is_cut() -> None:
    tail = LogTail()
    for _ in range(10):
        tail.add("out", b"x" * 1000)
    tail.add("out", b"\nnext\n")

    assert ("x" * LINE_LIMIT, "next") == tail.last(2)


def test_line_that_is_no_text_is_shown_all_the_same() -> None:
    tail = LogTail()
    tail.add("out", b"caf\xe9\r\nna\xc3\xafve\n")

    assert ("caf\ufffd", "naïve") == tail.last(2)


@given(st.lists(st.text("ab\n", max_size=30)), st.integers(1, 5))
def test_tail_is_that_of_the_whole(pieces: list[str], kept: int) -> None:
    """However the stream was cut into pieces."""
    tail = LogTail(kept)
    for piece in pieces:
        tail.add("out", piece.encode())
    *lines, begun = "".join(pieces).split("\n")

    assert (*lines[-kept:], *filter(None, [begun])) == tail.last(kept + 1)


def after(tail: LogTail, position: int, count: int) -> tuple[tuple[str, ...], int]:
    """The texts of what `LogTail.after` returns."""
    lines, end = tail.after(position, count)
    return tuple(line.text for line in lines), end


def test_tail_resumes_after_given_position() -> None:
    """With whole lines; what came too early for the tail is counted all the same."""
    tail = LogTail(3)
    tail.add("out", b"one\ntwo\nthr")

    assert (("one", "two"), 2) == after(tail, 0, 10)
    assert ((), 2) == after(tail, 2, 10)
    tail.add("out", b"ee\n4\n5\n6\n7\n")
    assert (("5", "6", "7"), 7) == after(tail, 2, 10)
    assert (("7",), 7) == after(tail, 2, 1)
    assert ((), 7) == after(tail, 9, 5)


def test_line_is_timestamped_at_its_end() -> None:
    times = iter([1.0, 2.0])
    tail = LogTail(clock=lambda: next(times))
    tail.add("out", b"one\ntw")
    tail.add("out", b"o\n")

    assert [1.0, 2.0] == [line.at for line in tail.after(0, 9)[0]]
