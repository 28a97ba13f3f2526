"""Deployments, counted and reported as they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from ..deploy.changes import Attempt
from ..histogram import Histogram
from ..system import Clock
from ..telemetry.instruments import DEPLOYMENT_BOUNDS
from ..telemetry.points import Point
from ..telemetry.spans import Course, Step

__all__ = ["Deployments"]


class Deployments:
    """
    Observer of a deployment log.

    Args:
        tell: Called with the course of every deployment that is over.

    Attributes:
        again: Number of successful ones that replaced another.
    """

    def __init__(
        self, command: str, clock: Clock, tell: Callable[[Course], None]
    ) -> None:
        self._command = command
        self._clock = clock
        self._tell = tell
        self._durations = Histogram(DEPLOYMENT_BOUNDS)
        self._deployed = self._failed = self.again = 0
        self._rolled_back: Counter[str] = Counter()

    def recorded(self, attempt: Attempt) -> None:
        """Count *attempt*, whose outcome is known."""
        if attempt.outcome == "rolled back":
            self._rolled_back["probation"] += 1
        elif attempt.outcome != "deployed":
            self._failed += 1
        else:
            self.again += bool(attempt.previous)
            if attempt.action == "rollback":
                self._rolled_back["operator"] += 1
                return
            self._deployed += 1
            self._durations.add(self._clock.monotonic() - self._begun(attempt))

    def over(self, attempt: Attempt) -> None:
        """Report *attempt*, which is over."""
        # Steps are marked by a monotonic clock, but reported by the wall clock.
        epoch = self._clock.wall() - self._clock.monotonic()
        ends = [*attempt.marks, ("", self._clock.monotonic())]
        steps = tuple(
            Step(name, epoch + begun, epoch + ended)
            for (name, begun), (_, ended) in pairwise(ends)
            if name != "done"
        )
        if not steps:
            return
        self._tell(
            Course(
                attempt.action,
                self._command,
                attempt.target,
                attempt.previous,
                attempt.outcome,
                attempt.reason,
                steps,
            )
        )

    def read(self) -> Iterator[Point]:
        """Yield the points of the counters, as a source of figures."""
        label = (self._command,)
        yield Point("dewy.deployments.total", self._deployed, label)
        yield Point("dewy.deployment.duration", self._durations, label)
        yield Point("dewy.deployment.errors.total", self._failed, label)
        for reason in ("probation", "operator"):
            labels = (self._command, reason)
            yield Point("dewy.rollbacks.total", self._rolled_back[reason], labels)

    def _begun(self, attempt: Attempt) -> float:
        """Return when it began; the original does not count the pulling of an image."""
        if self._command != "container":
            return attempt.begun
        fetched = (at for step, at in attempt.marks if step == "before-hook")
        return next(fetched, attempt.begun)
