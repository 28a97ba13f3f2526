"""Findings: results of checks, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Level", "exit_status"]


class Level(StrEnum):
    """
    The severity of a finding.

    OK and ATTENTION prevent nothing; after a FAILURE another try may help, after a
    MISTAKE it cannot.
    """

    OK = "ok"
    ATTENTION = "attention"
    FAILURE = "failure"
    MISTAKE = "mistake"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    The result of a check.

    Attributes:
        subject: The subject in one word: `port`, `engine`, `root` …

        text: The state of the subject, in one line.

        advice: The remedy, in one line; "" if there is none, or the text says so.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f" → {self.advice}" if self.advice else ""
        return f"{self.level + ':':<10} {self.subject}: {self.text}{advice}"

    def as_dict(self) -> dict[str, Any]:
        """Return the finding, for JSON."""
        return asdict(self)


def exit_status(findings: Iterable[Finding]) -> int:
    """Return 2 with a mistake in the configuration, 1 with another failure, else 0."""
    levels = {finding.level for finding in findings}
    return 2 if Level.MISTAKE in levels else int(Level.FAILURE in levels)
