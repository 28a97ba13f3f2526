"""Rates per second, from counters that only grow (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Rates", "counters"]

COUNTED = ("connections_total", "bytes_up", "bytes_down")

Counters = dict[str, tuple[int, ...]]


class Rates:
    """
    Rates over the last few seconds, of things that come and go.

    Args:
        window: Seconds. A longer one shows less of a single burst.
    """

    def __init__(self, window: float = 3.0) -> None:
        self._window = window
        self._taken: deque[tuple[float, Counters]] = deque()

    def take(self, now: float, counted: Counters) -> dict[str, dict[str, float]]:
        """
        Per second and by id, now that *counted* is what was counted by *now*.

        What was not there before moves nothing yet, nor does what began anew.
        """
        # The newest that is older than the window stays: it is where that begins.
        while len(self._taken) > 1 and self._taken[1][0] <= now - self._window:
            self._taken.popleft()
        self._taken.append((now, counted))
        return {each: self._rates(each, now, after) for each, after in counted.items()}

    def _rates(self, each: str, now: float, after: tuple[int, ...]) -> dict[str, float]:
        since, before = next(
            (at, taken[each]) for at, taken in self._taken if each in taken
        )
        seconds = now - since
        if seconds <= 0:
            return dict.fromkeys(COUNTED, 0.0)
        moved = (max(0, new - old) for new, old in zip(after, before, strict=True))
        return {
            name: round(count / seconds, 1)
            for name, count in zip(COUNTED, moved, strict=True)
        }


def counters(status: Mapping[str, Any]) -> Counters:
    """Return what is counted in *status*: by id or address."""
    return {
        name: tuple(int(each.get(counter, 0)) for counter in COUNTED)
        for name, each in _counted(status)
    }


def _counted(status: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in (*status["replicas"], *status.get("backends", ())):
        yield each["id"], each
    # Only where the proxy listens is anything counted.
    for each in status["ports"]:
        if "connections_total" in each:
            yield each["address"], each
