"""
Output of a generation, passed on unchanged, with its last lines kept.

One thread per generation moves bytes from two pipes to dewy's own standard output and
standard error. If a reader of those stalls, the program stalls, as it would had it
inherited them; if the reader is gone, its output is lost and nothing else.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE, PollSelector
from time import monotonic

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


CHUNK = 65536
# Bytes that a pipe polled as writable takes without blocking (PIPE_BUF on Linux).
WRITE = 4096
GRACE = 1.0


class _Stream:
    """Stream of one pipe: its source, its destination, and the bytes still to write."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.pending = b""

    def read(self) -> bytes:
        """Read what is there, which is then still to write; b"" at the end."""
        self.pending = os.read(self.source, CHUNK)
        return self.pending

    def write(self) -> None:
        """Write some of what is pending, in whole lines if possible."""
        end = self.pending.rfind(b"\n", 0, WRITE) + 1 or WRITE
        try:
            self.pending = self.pending[os.write(self.sink, self.pending[:end]) :]
        except BlockingIOError:
            pass
        except OSError:
            # The reader is gone, or the disk is full; the program runs on.
            self.pending = b""


class Output:
    """
    Reader of a generation's output, from its creation to `close`.

    It ends by itself when all writing ends are closed: by the generation, by what it
    left behind, and by dewy (`close_child_fds`).

    Args:
        stdout: Descriptor that standard output is passed on to.

        stderr: Descriptor that standard error is passed on to.

    Attributes:
        child_fds: The child's standard output and standard error.
    """

    def __init__(self, stdout: int = 1, stderr: int = 2) -> None:
        self._tail = LogTail()
        self._lock = threading.Lock()
        self._flushes: list[threading.Event] = []
        self._close_by: float | None = None
        self._ended = False
        with ExitStack() as ours, ExitStack() as theirs:
            self._waking, self._wake_fd = _pipe(ours, ours)
            os.set_blocking(self._wake_fd, False)
            out, err = _pipe(ours, theirs), _pipe(ours, theirs)
            self.child_fds = (out[1], err[1])
            self._streams = {
                _Stream(source, _duplicate(sink, ours))
                for source, sink in ((out[0], stdout), (err[0], stderr))
            }
            self._ours, self._theirs = ours.pop_all(), theirs.pop_all()
        threading.Thread(target=self._run, name="output", daemon=True).start()

    def __repr__(self) -> str:
        return f"<Output {'ended' if self._ended else 'open'}>"

    def tail(self, count: int = LINES) -> tuple[str, ...]:
        """Return at most *count* of the last lines, oldest first."""
        return self._tail.last(count)

    def after(self, position: int, count: int) -> tuple[tuple[TailLine, ...], int]:
        """See `LogTail.after`."""
        return self._tail.after(position, count)

    def close_child_fds(self) -> None:
        """Close the child's ends in dewy, once the child has them; idempotent."""
        self._theirs.close()

    def flush(self, timeout: float = 1.0) -> None:
        """
        Wait until all output so far is in `tail` and passed on.

        Blocks, for at most *timeout* seconds.
        """
        done = threading.Event()
        with self._lock:
            if self._ended:
                return
            self._flushes.append(done)
            self._wake()
        done.wait(timeout)

    def close(self) -> None:
        """
        End soon, whatever still writes or does not read; idempotent.

        The call does not block: remaining output is passed on in the background, for at
        most `GRACE` seconds.
        """
        self.close_child_fds()
        with self._lock:
            if not self._ended and self._close_by is None:
                self._close_by = monotonic() + GRACE
                self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full of earlier calls
            os.write(self._wake_fd, b"x")

    def _run(self) -> None:
        with PollSelector() as selector:
            selector.register(self._waking, EVENT_READ, self._woken)
            for stream in self._streams:
                self._await_source(selector, stream)
            try:
                self._pass_on(selector)
            finally:
                self._end()

    def _pass_on(self, selector: PollSelector) -> None:
        while self._streams:
            flushes = tuple(self._flushes)
            events = selector.select(self._patience(bool(flushes)))
            for key, _ in events:
                key.data(selector)
            if self._close_by is not None:
                if not events or monotonic() > self._close_by:
                    return
            elif not events:
                self._flushed(flushes)

    def _patience(self, flushing: bool) -> float | None:
        """Return the time-out of the next poll in seconds; None means for ever."""
        pending = any(stream.pending for stream in self._streams)
        if self._close_by is not None:
            return max(0.0, self._close_by - monotonic()) if pending else 0.0
        return 0.0 if flushing and not pending else None

    def _flushed(self, flushes: Iterable[threading.Event]) -> None:
        for done in flushes:
            self._flushes.remove(done)
            done.set()

    def _end(self) -> None:
        with self._lock:
            self._ended = True
            self._ours.close()
            self._flushed(tuple(self._flushes))

    def _woken(self, selector: PollSelector) -> None:
        os.read(self._waking, CHUNK)

    def _await_source(self, selector: PollSelector, stream: _Stream) -> None:
        selector.register(stream.source, EVENT_READ, partial(self._read, stream))

    def _read(self, stream: _Stream, selector: PollSelector) -> None:
        data = stream.read()
        selector.unregister(stream.source)
        if not data:
            self._streams.remove(stream)
            return
        self._tail.add(stream, data)
        selector.register(stream.sink, EVENT_WRITE, partial(self._write, stream))

    def _write(self, stream: _Stream, selector: PollSelector) -> None:
        stream.write()
        if not stream.pending:
            selector.unregister(stream.sink)
            self._await_source(selector, stream)


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for stack, end in zip((reading, writing), ends, strict=True):
        stack.callback(os.close, end)
    return ends


def _duplicate(sink: int, stack: ExitStack) -> int:
    try:
        copy = os.dup(sink)
    except OSError:
        copy = os.open(os.devnull, os.O_WRONLY)
    stack.callback(os.close, copy)
    return copy
