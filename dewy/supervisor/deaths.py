"""The deaths of what serves: how many, the last one, and what they come to (pure)."""

from __future__ import annotations

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
    """

    generation: int
    how: str
    lived: float
    at: float


@dataclass(slots=True)
class Deaths:
    """
    Attributes:
        total: How many there were since dewy started.

        last: The last one.

        backoff: The row of deaths that is not over yet.
    """

    total: int = 0
    last: Death | None = None
    backoff: Backoff = field(default_factory=Backoff)

    def add(self, death: Death) -> None:
        """Count one more."""
        self.total += 1
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
