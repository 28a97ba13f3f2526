"""The amount to ask for at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LEAST, MOST = 1 << 20, 8 << 20
"""Bytes of a piece: what a slow line brings in time, and what memory bears."""

BRISK, SLOW = 2.0, 10.0
"""Seconds for a piece; the next is twice, or half, as large."""


class Pace:
    """Pieces that take some seconds each, whatever the line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.length = LEAST
        self._clock = clock

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Bring one piece in the block; what fails counts as slow."""
        began = self._clock()
        try:
            yield
        except BaseException:
            self.length = LEAST
            raise
        self._adapt(self._clock() - began)

    def _adapt(self, seconds: float) -> None:
        if seconds < BRISK:
            self.length = min(2 * self.length, MOST)
        elif seconds > SLOW:
            self.length = max(self.length // 2, LEAST)
