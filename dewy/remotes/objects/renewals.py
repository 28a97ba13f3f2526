"""Limit on making a client anew, which takes a tenth of a second of work."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

MOST, WITHIN = 3, 60.0
"""The number of new clients in so many seconds, whatever is refused."""


class Renewals:
    """Times at which a client was let go of, for what it had read was refused."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: deque[float] = deque(maxlen=MOST)

    def permitted(self) -> bool:
        """Return whether another one is due, and note it."""
        now = self._clock()
        if len(self._times) == MOST and now - self._times[0] < WITHIN:
            return False
        self._times.append(now)
        return True
