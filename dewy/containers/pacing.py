"""Pacing of starts, after replicas died or failed to start."""

from __future__ import annotations

import asyncio

from ..supervisor.backoff import LASTING, Backoff

__all__ = ["Pacing"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Pacing:
    """
    Delay between starts that grows with deaths and failures; only starts are held.

    Deaths count as those of a supervised program do; failures to start double the
    pause, until all replicas serve.
    """

    def __init__(self) -> None:
        self._backoff = Backoff()
        self._counted = 0.0  # time of the last death, by the loop's clock
        self._failures = 0
        self._after_death = self._after_failure = 0.0

    def __repr__(self) -> str:
        return f"<Pacing: {self.left:.1f} s, {self._failures} failures>"

    @property
    def left(self) -> float:
        """Seconds until the next start may be made."""
        until = max(self._after_death, self._after_failure)
        return max(0.0, until - asyncio.get_running_loop().time())

    @property
    def row(self) -> int:
        """Deaths in a row; 0 once what was started after them has lasted."""
        lasted = asyncio.get_running_loop().time() - self._after_death >= LASTING
        return 0 if lasted else self._backoff.deaths

    def died(self, since: float) -> None:
        """
        Count the death of a replica that ran *since*; simultaneous deaths are one.
        """
        now = asyncio.get_running_loop().time()
        # The loop's clock stands still within one turn: what follows a death may have
        # begun at that very time.
        if since < self._counted:
            return
        self._counted = now
        self._backoff = self._backoff.died(now - since)
        self._after_death = now + self._backoff.delay

    def failed(self) -> None:
        """Count a failure to start; failures of one attempt are one."""
        now = asyncio.get_running_loop().time()
        if now < self._after_failure:
            return
        pause = FIRST_PAUSE * 2.0 ** min(self._failures, 16)
        self._failures += 1
        self._after_failure = now + min(pause, LONGEST_PAUSE)

    def succeeded(self) -> None:
        """Note that all replicas serve: the next failure is the first again."""
        self._failures = 0

    def relent(self) -> None:
        """Allow a start at once, for the cause of the failures may be over."""
        self._failures, self._after_failure = 0, 0.0

    def reset(self) -> None:
        """Forget the past, which says nothing about the other version started now."""
        self.relent()
        self._backoff, self._after_death = Backoff(), 0.0
