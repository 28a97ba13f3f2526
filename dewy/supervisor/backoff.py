"""Back-off before a program that keeps dying is started again (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
