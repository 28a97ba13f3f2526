"""A change of version under way."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

DONE = "done"
STEPS = {
    "fetch": "fetching {}",
    "before-hook": "running the before-deploy hook",
    "unpack": "unpacking {}",
    "start": "starting {}",
    DONE: "{} is deployed",
}
"""Each step as an operator reads it; {} is the version."""


def new_id() -> str:
    """What tells a deployment from all others, in the log and in the history."""
    return uuid.uuid4().hex[:12]


def _unheard(text: str) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Attempt:
    """
    Attributes:
        target: The version that shall run.

        previous: The one that ran before, or "".

        action: `deploy` or `rollback`.

        begun: Monotonic seconds.

        step: How far it got; "" before the first.

        why: Who wanted it, where it was not the registry.

        id: In every line of the log that is about it.

        over: Nothing of it is still to come but its hooks.

        outcome, reason: How it ended, once it has; as in `Record`.

        marks: Each step it has come to, and when: monotonic seconds.

        progress: The last step in words, for `status`.

        listener: Told `progress` whenever it changes.
    """

    target: str
    previous: str
    action: str
    begun: float
    step: str = ""
    why: str = ""
    id: str = field(default_factory=new_id)
    over: bool = False
    outcome: str = ""
    reason: str = ""
    marks: list[tuple[str, float]] = field(default_factory=list, init=False)
    progress: str = field(default="", init=False)
    listener: Callable[[str], None] = field(default=_unheard, init=False)

    def __post_init__(self) -> None:
        if self.step:
            self.mark(self.step)

    def mark(self, step: str) -> None:
        """It has come to *step*, of which only its trace tells."""
        self.step = step
        self.marks.append((step, time.monotonic() if self.marks else self.begun))

    def reach(self, step: str) -> None:
        """It has come to *step*, which is told in one line."""
        begins = not self.step
        self.mark(step)
        self._publish(STEPS.get(step, step).format(self.target))
        if begins:
            log.info("Deployment started", extra=self.log_fields(action=self.action))
        elif step == DONE:
            log.info("Deployed", extra=self.log_fields())
        else:
            log.info("Deployment went on", extra=self.log_fields())

    def note(self, text: str) -> None:
        """Log the progress within a step, as a phrase for people."""
        self._publish(text)
        log.info("Deployment progress", extra=self.log_fields(progress=text))

    def _publish(self, text: str) -> None:
        self.progress = text
        self.listener(text)

    def fail(self, error: str) -> None:
        """It ended at its step."""
        log.error("Deployment failed", extra=self.log_fields(error=error))

    def log_fields(self, **more: object) -> dict[str, object]:
        """What a log record says of it."""
        return {
            "deployment": self.id,
            "step": self.step,
            "tag": self.target,
            "from": self.previous,
            **more,
        }
