"""What answers to a health check mean."""

from __future__ import annotations

import pytest

from dewy.supervisor.probe import (
    LONGEST_PAUSE,
    MOST_CONNECTIONS,
    SHORTEST_PAUSE,
    ProbeResult,
    ProbeTally,
    Verdict,
    judge,
)

GOOD = ProbeResult(Verdict.GOOD, "answered 200")
BAD = ProbeResult(Verdict.BAD, "answered 500")
STRANGER = ProbeResult(Verdict.STRANGER, "only the old generation answered")
UNKNOWN = ProbeResult(Verdict.UNKNOWN, "no answer in 5 s")


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 204 No Content\r\n",
        b"HTTP/1.1 299\r\n",
        b"HTTP/1.1 302 Found\r\n",
        b"HTTP/1.1 399 \r\n",
    ],
)
def test_success_and_redirection_are_good(line: bytes) -> None:
    assert Verdict.GOOD == judge(line).verdict


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\n", "answered 500"),
        (b"HTTP/1.1 404 Not Found\r\n", "answered 404"),
        (b"HTTP/1.1 103 Early Hints\r\n", "answered 103"),
        (b"HTTP/1.1 400\r\n", "answered 400"),
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "answered something other than HTTP"),
        (b"HTTP/1.1 2000 \r\n", "answered something other than HTTP"),
        (b"\xff\xfe", "answered something other than HTTP"),
    ],
)
def test_all_else_is_bad_and_says_why(line: bytes, reason: str) -> None:
    assert ProbeResult(Verdict.BAD, reason) == judge(line)


def test_good_answers_add_up() -> None:
    tally = ProbeTally(2.0)

    assert 0.0 == tally.add([GOOD])
    assert 0.0 == tally.add([STRANGER, GOOD, GOOD])
    assert 3 == tally.good


def test_bad_answer_starts_anew_after_the_interval() -> None:
    tally = ProbeTally(2.0)
    tally.add([GOOD])

    assert 2.0 == tally.add([GOOD, BAD])
    assert 0 == tally.good
    assert "answered 500" == tally.reason


def test_answers_of_others_widen_the_next_round() -> None:
    """One connection may always be taken by the same busy process; many are not."""
    tally = ProbeTally(2.0)
    widths = []
    for _ in range(5):
        tally.add([STRANGER])
        widths.append(tally.width)

    assert [2, 4, 8, MOST_CONNECTIONS, MOST_CONNECTIONS] == widths


def test_no_answer_does_not_pile_up_connections() -> None:
    """They would wait for the new generation when it comes."""
    tally = ProbeTally(2.0)
    tally.add([UNKNOWN])

    assert 1 == tally.width


def test_pauses_grow_from_short_to_not_very_long() -> None:
    tally = ProbeTally(2.0)
    pauses = [tally.add([STRANGER]) for _ in range(20)]

    assert SHORTEST_PAUSE == pauses[0]
    assert sorted(pauses) == pauses
    assert LONGEST_PAUSE == pauses[-1]


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([[UNKNOWN]], UNKNOWN),
        ([[STRANGER], [UNKNOWN]], STRANGER),
        ([[BAD], [STRANGER], [UNKNOWN]], BAD),
        ([[BAD], [ProbeResult(Verdict.BAD, "answered 503")]], "answered 503"),
        ([[GOOD], [STRANGER]], STRANGER),
        ([[GOOD]], "no answer"),
    ],
)
def test_most_telling_reason_is_kept(
    rounds: list[list[ProbeResult]], expected: ProbeResult | str
) -> None:
    """What the new generation answered says more than that others did."""
    tally = ProbeTally(2.0)
    for answers in rounds:
        tally.add(answers)

    assert getattr(expected, "reason", expected) == tally.reason
