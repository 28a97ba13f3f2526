"""Histograms: distributions of quantities, counted as things happen."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DRAIN_BOUNDS", "LOOK_BOUNDS", "CheckResult", "Checks", "Histogram"]

LOOK_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
DRAIN_BOUNDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds that letting go of connections takes, wherever that is done."""


class Histogram:
    """
    Counts by upper bound, and the sum; a value equal to a bound belongs to it.

    Args:
        bounds: Ascending; one more bucket holds what is above the last.

        counts: Those made elsewhere, by bucket.

    Attributes:
        counts: By bucket, not cumulated.

        total: Of all values.
    """

    def __init__(
        self, bounds: Sequence[float], counts: Sequence[int] = (), total: float = 0.0
    ) -> None:
        self.bounds = tuple(bounds)
        self.counts = list(counts) or [0] * (len(self.bounds) + 1)
        self.total = total

    def __repr__(self) -> str:
        return f"<Histogram of {sum(self.counts)} values>"

    def add(self, value: float) -> None:
        """Count one more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Checks:
    """
    Attributes:
        made, failed: The numbers of health checks made, and of those that failed.
    """

    made: int = 0
    failed: int = 0

    def count(self, good: bool) -> None:
        """Count a health check."""
        self.made += 1
        self.failed += not good


@dataclass(frozen=True, slots=True)
class CheckResult:
    """
    Result of one health check.

    Attributes:
        problem: The problem found; "" if there is none.

        latency: Seconds until the answer, or until the connection stood where no
            answer is asked for; None where none came.

        at: End of the check, seconds since the epoch.

        unasked: Whether this host was short of what it takes to ask, so that the
            problem says nothing of who was to answer.
    """

    problem: str = ""
    latency: float | None = None
    at: float = field(default_factory=time.time)
    unasked: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the result as the status has it; the problem stands elsewhere."""
        latency = None if self.latency is None else round(self.latency, 4)
        return {"at": round(self.at, 3), "ok": not self.problem, "latency": latency}
