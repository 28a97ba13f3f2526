"""A change of version under way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Attempt:
    """
    Attributes:
        target: The version that shall run.

        previous: The one that ran before, or "".

        action: `deploy` or `rollback`.

        begun: Monotonic seconds.

        step: How far it got.

        over: Nothing of it is still to come but its hooks.
    """

    target: str
    previous: str
    action: str
    begun: float
    step: str = "fetch"
    over: bool = False
