"""Health of one notifier, as status and metrics tell it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health"]


@dataclass(slots=True)
class Health:
    """
    Counts and the last failure of a notifier.

    Attributes:
        delivered: Notices that the target took.

        failed: Attempts that failed.

        lost: Notices that were given up or dropped.

        problem: The failure of the last attempt, or "" if that succeeded.
    """

    delivered: int = 0
    failed: int = 0
    lost: int = 0
    problem: str = ""

    @property
    def proven(self) -> bool:
        """True if the last attempt succeeded."""
        return bool(self.delivered) and not self.problem

    def succeed(self) -> None:
        """Count a notice that was taken."""
        self.delivered += 1
        self.problem = ""

    def fail(self, problem: str) -> None:
        """Count an attempt that failed."""
        self.failed += 1
        self.problem = problem
