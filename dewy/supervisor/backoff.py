"""Deaths of serving generations, and the back-off before the next start (pure)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Self

FACTOR = 1.5
LONGEST = 30.0
LASTING = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Row of deaths so far.

    The first death is answered at once, the next after 1, 1.5, 2.25 … 30 seconds. A
    generation that lived for a minute starts the row anew.
    """

    deaths: int = 0

    def died(self, lived: float) -> Self:
        """
        Return the row after one more death, of a generation that lived *lived* seconds.
        """
        return replace(self, deaths=1 if lived >= LASTING else self.deaths + 1)

    @property
    def delay(self) -> float:
        """Seconds to wait now."""
        if self.deaths <= 1:
            return 0.0
        return min(FACTOR ** min(self.deaths - 2, 20), LONGEST)


@dataclass(frozen=True, slots=True)
class Death:
    """
    Death of a generation that ended by itself while it served.

    Attributes:
        how: Manner of its end in words, as `exit status 3`.

        lived: Seconds from its start.

        at: Time of its end, seconds since the epoch.

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
        by_reason: Number of deaths since dewy started, by reason.

        last: The last death.

        backoff: Row of deaths that is not over yet.
    """

    by_reason: Counter[str] = field(default_factory=lambda: Counter(exit=0, signal=0))
    last: Death | None = None
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def total(self) -> int:
        """Number of deaths, for whatever reason."""
        return self.by_reason.total()

    def add(self, death: Death) -> None:
        """Count one more death."""
        self.by_reason[death.reason] += 1
        self.last = death

    def prolong(self, lived: float) -> None:
        """Add to the row the end of a generation that lived *lived* seconds."""
        self.backoff = self.backoff.died(lived)

    def end_row(self) -> None:
        """End the row: it says nothing of the release that is to run now."""
        self.backoff = Backoff()

    def trouble(self, lives: float | None) -> str:
        """
        Return what is wrong, in a phrase; "" once a generation has lasted.

        *lives* is the age, in seconds, of the serving generation; None if there is
        none.
        """
        lasting = lives is not None and lives >= LASTING
        if self.last is None or self.backoff.deaths <= 1 or lasting:
            return ""
        last = self.last
        return (
            f"the program keeps dying: {self.backoff.deaths} times in a row, "
            f"generation {last.generation} last ({last.how}) after {last.lived:.1f} s"
        )
