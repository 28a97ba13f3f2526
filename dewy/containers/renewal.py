"""Replacement of the replicas of one version by others with changed options."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from ..deploy.changes import DONE, Attempt
from ..logs import duration
from .container_spec import ContainerSpec
from .options.argv import given
from .replica import Replica

__all__ = ["Renewal", "changed_options"]

log = logging.getLogger(__name__)

FOUND = "options differ from those of the replicas that were found"
SUPERSEDED = "superseded"

Record = Callable[[Attempt, str, str, str], None]
"""Writes how an attempt ended: the outcome, the reason, a program's own words."""


class Renewal:
    """
    Observer of renewals, of which one at most is under way.

    Args:
        record: Writes the row of the history.

    Attributes:
        current: The renewal under way, or None.
    """

    def __init__(self, record: Record) -> None:
        self._why = FOUND
        self._record = record
        self.current: Attempt | None = None
        self._spec = ""
        self._told = ""

    def expect(self, why: str) -> None:
        """Take *why*, a phrase, for the reason of the renewal that follows."""
        self._why = why

    def observe(
        self, spec: ContainerSpec, serving: Sequence[Replica], wanted: int
    ) -> None:
        """Note how far *serving* is on the way to *wanted* replicas of *spec*."""
        if self.current is not None and self._spec != spec.spec:
            self.over("cancelled", SUPERSEDED)
        new = sum(each.spec == spec.spec for each in serving)
        if self.current is None and new < len(serving):
            self._begin(spec)
        if self.current is None:
            return
        if new == wanted == len(serving):
            self.over("reloaded", self.current.why)
        elif new:
            self._progress(f"replica {new} of {wanted} is healthy")

    def failed(self, reason: str, detail: str) -> None:
        """Record a failure, once for as long as it stays the same."""
        if self.current is not None and reason and reason != self._told:
            self._told = reason
            self._record(self.current, "failed", reason, detail)

    def over(self, outcome: str, reason: str) -> None:
        """Record the end of the renewal under way, if there is one."""
        attempt, self.current = self.current, None
        if attempt is None:
            return
        self._why = FOUND
        if outcome == "reloaded":
            attempt.mark(DONE)
            took = duration(time.monotonic() - attempt.begun)
            told = {"deployment": attempt.id, "tag": attempt.target, "took": took}
            log.info("Options rolled out", extra={**told, "options": attempt.why})
        self._record(attempt, outcome, reason, "")

    def _begin(self, spec: ContainerSpec) -> None:
        self._spec, self._told = spec.spec, ""
        tag, now = spec.version.name, time.monotonic()
        self.current = Attempt(tag, "", "reload", now, "start", self._why)
        told = {"deployment": self.current.id, "tag": tag, "options": self._why}
        log.info("Options are rolled out to all replicas", extra=told)

    def _progress(self, text: str) -> None:
        assert self.current is not None
        if self.current.progress != text:
            self.current.note(text)


def changed_options(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Return the names of the options in which two lists of words differ."""
    one, other = ({(each.what, each.text) for each in given(w)} for w in (old, new))
    return sorted({what for what, _ in one ^ other})
