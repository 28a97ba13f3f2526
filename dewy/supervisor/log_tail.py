"""Last lines of a program's output."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

LINES = 200
LINE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class TailLine:
    """
    Line of output.

    Attributes:
        at: Time at which it ended, seconds since the epoch.
    """

    at: float
    text: str


class LogTail:
    """Last lines of several streams, in the order in which they ended."""

    def __init__(
        self, lines: int = LINES, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._lines: deque[tuple[float, bytes]] = deque(maxlen=lines)
        self._begun: dict[object, bytes] = {}
        self._ended = 0
        self._lock = threading.Lock()

    def add(self, stream: object, data: bytes) -> None:
        """Add *stream*'s output; lines are cut at `LINE_LIMIT` bytes."""
        keep, now = self._lines.maxlen or 0, self._clock()
        with self._lock:
            # Splitting from the end: of a flood only the last lines matter.
            *ended, begun = data.rsplit(b"\n", keep + 1)
            self._ended += data.count(b"\n")
            for line in ended:
                whole = self._begun.pop(stream, b"") + line
                self._lines.append((now, whole[:LINE_LIMIT]))
            self._begun[stream] = (self._begun.get(stream, b"") + begun)[:LINE_LIMIT]

    def last(self, count: int) -> tuple[str, ...]:
        """Return at most *count* lines, oldest first; unfinished lines come last."""
        with self._lock:
            ended = [line for _, line in self._lines]
            lines = [*ended, *filter(None, self._begun.values())]
        kept = lines[max(0, len(lines) - count) :]
        return tuple(_text(line) for line in kept)

    def after(self, position: int, count: int) -> tuple[tuple[TailLine, ...], int]:
        """
        Return the lines that ended after *position*, and the position after them.

        Of more than *count* lines, the last are returned. A position is a number of
        lines that have ended; 0 is the beginning.
        """
        with self._lock:
            end, kept = self._ended, tuple(self._lines)
        fresh = min(max(end - position, 0), count)
        lines = kept[-fresh:] if fresh else ()
        return tuple(TailLine(at, _text(line)) for at, line in lines), end


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
