"""A change of version under way, and the trial after it."""

from __future__ import annotations

from dataclasses import dataclass

from .state import Installed


@dataclass(slots=True)
class Attempt:
    """
    Attributes:
        target: The version that shall run.

        previous: The one that ran before, or "".

        action: `deploy` or `rollback`.

        begun: Monotonic seconds.

        step: How far it got.
    """

    target: str
    previous: str
    action: str
    begun: float
    step: str = "fetch"


@dataclass(frozen=True, slots=True)
class Probation:
    """The release that just took over, and until when its death is a verdict."""

    release: Installed
    until: float
