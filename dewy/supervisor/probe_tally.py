"""Evaluation of the answers to a health check, and the next step (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

MOST_CONNECTIONS = 8
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})\b")


class Verdict(IntEnum):
    """Result of one request; a higher one says more of the new generation."""

    UNKNOWN = 0
    STRANGER = 1
    GOOD = 2
    BAD = 3


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Verdict with its reason in words."""

    verdict: Verdict
    reason: str


class ProbeTally:
    """
    Tally of the answers so far, which decides the next step; no input or output.

    Attributes:
        good: Consecutive good answers of the new generation.

        width: Number of connections to open at a time. It grows while others accept
            them all, so that a busy old generation cannot do so for ever.

        reason: The most telling answer so far that was not good.
    """

    def __init__(self, interval: float) -> None:
        self.good = 0
        self.width = 1
        self.reason = "no answer"
        self._interval = interval
        self._pause = SHORTEST_PAUSE
        self._telling = Verdict.UNKNOWN

    def add(self, answers: Sequence[ProbeResult]) -> float:
        """Count one round of *answers*; return the seconds until the next."""
        for answer in answers:
            if answer.verdict >= self._telling and answer.verdict != Verdict.GOOD:
                self._telling, self.reason = answer.verdict, answer.reason
        verdicts = [answer.verdict for answer in answers]
        if Verdict.BAD in verdicts:
            self.good = 0
            return self._interval
        if Verdict.GOOD in verdicts:
            self.good += verdicts.count(Verdict.GOOD)
            return 0.0
        if Verdict.STRANGER in verdicts:
            self.width = min(self.width * 2, MOST_CONNECTIONS)
        pause, self._pause = self._pause, min(self._pause * 1.5, LONGEST_PAUSE)
        return pause


def judge(line: bytes) -> ProbeResult:
    """Return the answer in a status line; redirects are good, and not followed."""
    if not line:
        return ProbeResult(Verdict.BAD, "closed the connection without an answer")
    status = STATUS.match(line)
    if status is None:
        return ProbeResult(Verdict.BAD, "answered something other than HTTP")
    good = 200 <= int(status[1]) < 400
    return ProbeResult(
        Verdict.GOOD if good else Verdict.BAD, f"answered {status[1].decode()}"
    )
