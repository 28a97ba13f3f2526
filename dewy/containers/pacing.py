"""When replicas may be started again after some of them died or failed to start."""

from __future__ import annotations

import asyncio

from ..supervisor.backoff import Backoff

__all__ = ["Pacing"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Pacing:
    """
    Holds starts back, longer and longer, and nothing but starts.

    Deaths count as those of a program under supervision do; failures to start
    double the pause, until all replicas serve.
    """

    def __init__(self) -> None:
        self._backoff = Backoff()
        self._counted = 0.0  # when the last death was, by the loop's clock
        self._failures = 0
        self._after_death = self._after_failure = 0.0

    def __repr__(self) -> str:
        return f"<Pacing: {self.left:.1f} s, {self._failures} failures>"

    @property
    def left(self) -> float:
        """Seconds until the next start may be made."""
        until = max(self._after_death, self._after_failure)
        return max(0.0, until - asyncio.get_running_loop().time())

    def died(self, since: float) -> None:
        """Count the death of a replica that ran *since*; those together are one."""
        now = asyncio.get_running_loop().time()
        # The clock of a loop stands still while it turns: what follows a death may
        # have begun at that very time.
        if since < self._counted:
            return
        self._counted = now
        self._backoff = self._backoff.died(now - since)
        self._after_death = now + self._backoff.delay

    def failed(self) -> None:
        """Count a failure to start; those of one attempt are one."""
        now = asyncio.get_running_loop().time()
        if now < self._after_failure:
            return
        pause = FIRST_PAUSE * 2.0 ** min(self._failures, 16)
        self._failures += 1
        self._after_failure = now + min(pause, LONGEST_PAUSE)

    def succeeded(self) -> None:
        """All replicas serve: the next failure is the first again."""
        self._failures = 0

    def relent(self) -> None:
        """What kept replicas from starting may be over: try at once."""
        self._failures, self._after_failure = 0, 0.0

    def reset(self) -> None:
        """Another version is started now: what happened says nothing about it."""
        self.relent()
        self._backoff, self._after_death = Backoff(), 0.0
