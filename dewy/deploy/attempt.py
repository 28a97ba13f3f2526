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
"""The steps in an operator's words; {} is the version."""


def new_id() -> str:
    """Return a new id, which names one deployment in the log and in the history."""
    return uuid.uuid4().hex[:12]


def _unheard(text: str) -> None:
    """Discard *text*: there is no listener."""


@dataclass(slots=True)
class Attempt:
    """
    Attributes:
        target: The version that shall run.

        previous: The one that ran before, or "".

        action: `deploy` or `rollback`.

        begun: Monotonic seconds.

        step: The last step reached; "" before the first.

        why: The reason or the person behind it, where it was not the registry.

        id: In every line of the log that is about it.

        over: True once nothing but the hooks is still to come.

        outcome, reason: The outcome and its reason, once ended; as in `Record`.

        marks: The steps reached, each with its time in monotonic seconds.

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
        """Record that *step* was reached, for the trace alone."""
        self.step = step
        self.marks.append((step, time.monotonic() if self.marks else self.begun))

    def reach(self, step: str, *, idle: bool = False) -> None:
        """
        Record that *step* was reached, and tell it in one line.

        There is nothing to do in one that is *idle*: the listener is not told of it.
        """
        begins = not self.step
        self.mark(step)
        self.progress = STEPS.get(step, step).format(self.target)
        if not idle:
            self.listener(self.progress)
        if begins:
            log.info("Deployment started", extra=self.log_fields(action=self.action))
        elif step == DONE:
            log.info("Deployed", extra=self.log_fields())
        else:
            log.info("Deployment went on", extra=self.log_fields())

    def note(self, text: str) -> None:
        """Log the progress within a step, as a phrase for people."""
        self.progress = text
        self.listener(text)
        log.info("Deployment progress", extra=self.log_fields(progress=text))

    def fail(self, error: str) -> None:
        """Log that the deployment failed at its step."""
        log.error("Deployment failed", extra=self.log_fields(error=error))

    def log_fields(self, **more: object) -> dict[str, object]:
        """Return the fields of log records about this deployment."""
        return {
            "deployment": self.id,
            "step": self.step,
            "tag": self.target,
            "from": self.previous,
            **more,
        }
