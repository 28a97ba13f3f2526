"""A change of version under way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Attempt:
    """
    Attributes:
        target: The version that shall run.

        previous: The one that ran before, or "".

        action: `deploy` or `rollback`.

        begun: Monotonic seconds.

        marks: Each step it has come to, and when: monotonic seconds.

        step: How far it got.

        outcome, reason: How it ended, once it has; as in `Record`.
    """

    target: str
    previous: str
    action: str
    begun: float
    marks: list[tuple[str, float]] = field(default_factory=list, init=False)
    step: str = "fetch"
    outcome: str = ""
    reason: str = ""

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name == "step" and value:
            at = time.monotonic() if self.marks else self.begun
            self.marks.append((self.step, at))
