"""
Comparison of new and old backends by the connections they break (pure).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .._speedups.interface import BackendStats

__all__ = ["ENOUGH", "TIMES", "Outcomes", "too_broken"]

ENOUGH = 50
"""Minimum number of connections to the new backends for a verdict."""

TIMES = 3
"""Factor of the old backends' rate that counts as far more often."""


class Outcomes(NamedTuple):
    """
    Results of the connections given to some backends.

    Attributes:
        connections: Attempts to connect to them, failed ones included.

        broken: Number of those they closed without a byte to the client, or reset,
            while the client was still there.
    """

    connections: int = 0
    broken: int = 0

    @classmethod
    def of(cls, counted: Iterable[BackendStats]) -> Outcomes:
        """Sum up the counters of backends."""
        return cls.total(cls(each.total, each.broken) for each in counted)

    @classmethod
    def total(cls, several: Iterable[Outcomes]) -> Outcomes:
        """Sum up *several*, such as those of all new replicas."""
        pairs = list(several)
        return cls(sum(each[0] for each in pairs), sum(each[1] for each in pairs))


def too_broken(new: Outcomes, old: Outcomes, share: float) -> bool:
    """
    Return whether the *new* backends fail their probation by their figures.

    They do if they broke more than *share* of at least `ENOUGH` connections, and at
    least `TIMES` as many of theirs as the *old* ones did. Old ones without a
    connection have broken none. Take their figures before they drain: what is told to
    stop breaks connections, too.
    """
    if new.connections < ENOUGH or new.broken <= share * new.connections:
        return False
    return new.broken * old.connections >= TIMES * old.broken * new.connections
