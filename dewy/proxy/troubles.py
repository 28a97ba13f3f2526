"""Troubles of a port: a log line for each cause, with their number, now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from .._speedups.interface import Errors

__all__ = ["EVERY", "Troubles"]

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two lines of one cause."""


class _Line(NamedTuple):
    level: int
    text: str
    advice: str = ""


_LINES = {
    "idle_timeout": _Line(logging.INFO, "Reset silent connections"),
    "unanswered": _Line(logging.WARNING, "Clients are turned away: no backend answers"),
    "no_address": _Line(
        logging.WARNING,
        "No local port left",
        "widen net.ipv4.ip_local_port_range, or add backends; clients wait for a while",
    ),
    "accept_failed": _Line(
        logging.WARNING,
        "Accepting failed",
        "raise LimitNOFILE= of the unit (ulimit -n); clients wait meanwhile",
    ),
}


class Troubles:
    """
    Log of the troubles of one port.

    The first of a cause is logged at once, those of the next seconds together.

    Args:
        count: Returns the port's errors by cause.

        fields: Keys of each line.
    """

    def __init__(self, count: Callable[[], Errors], **fields: object) -> None:
        self._count = count
        self._fields = fields
        self._told: dict[str, int] = {}
        self._resting: dict[str, asyncio.TimerHandle] = {}

    def report(self, cause: str, **fields: object) -> None:
        """Log that there is trouble of *cause*, unless it was logged a moment ago."""
        if cause not in self._resting:
            self._tell(cause, fields)

    def stop(self) -> None:
        """Log what has not been logged yet."""
        resting, self._resting = self._resting, {}
        for cause, timer in resting.items():
            timer.cancel()
            self._log(cause, {})

    def _tell(self, cause: str, fields: dict[str, object]) -> None:
        self._resting.pop(cause, None)
        if self._log(cause, fields):
            loop = asyncio.get_running_loop()
            self._resting[cause] = loop.call_later(EVERY, self._tell, cause, fields)

    def _log(self, cause: str, fields: dict[str, object]) -> bool:
        """Log the troubles since the last line; return whether there were any."""
        counted: int = getattr(self._count(), cause)
        new, self._told[cause] = counted - self._told.get(cause, 0), counted
        line = _LINES[cause]
        if new:
            told = {**self._fields, "count": new, **fields}
            advice = {"advice": line.advice} if line.advice else {}
            log.log(line.level, line.text, extra={**told, **advice})
        return bool(new)
