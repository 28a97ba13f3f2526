"""The deaths of what serves: how many, the last one, and what they come to (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..logs import duration
from .backoff import LASTING, Backoff


@dataclass(frozen=True, slots=True)
class Death:
    """
    A generation that ended by itself while it served.

    Attributes:
        how: Its end in words, as `exit status 3`.

        lived: Seconds from its start.

        at: When it ended, seconds since the epoch.

        reason: `exit`, or `signal`.
    """

    generation: int
    how: str
    lived: float
    at: float
    reason: str = "exit"


@dataclass(slots=True)
class Deaths:
    """
    Attributes:
        by_reason: How many there were since dewy started.

        last: The last one.

        backoff: The row of deaths that is not over yet.
    """

    by_reason: Counter[str] = field(default_factory=lambda: Counter(exit=0, signal=0))
    last: Death | None = None
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def total(self) -> int:
        """How many there were, for whatever reason."""
        return self.by_reason.total()

    def add(self, death: Death) -> None:
        """Count one more."""
        self.by_reason[death.reason] += 1
        self.last = death

    def trouble(self, lives: float | None) -> str:
        """
        Return what is wrong, in a phrase; "" once a generation has lasted.

        *lives* is how long, in seconds, what serves has lived; None if nothing does.
        """
        lasting = lives is not None and lives >= LASTING
        if self.last is None or self.backoff.deaths <= 1 or lasting:
            return ""
        last = self.last
        return (
            f"the program keeps dying: {self.backoff.deaths} times in a row, "
            f"generation {last.generation} last ({last.how}) after "
            f"{duration(last.lived)}"
        )
