"""
Bytes from one socket to another: the part of the twin that must lose nothing.

Sockets are watched edge-triggered: the kernel says once that something became
possible, a `Side` remembers it, and only the socket's own refusal takes it back.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

__all__ = ["AGAIN", "BUDGET", "SCRATCH", "WAITING", "Direction", "Side", "reset"]

SCRATCH = 65536  # bytes read at once, and the most that is kept for a slow sink
BUDGET = 4 * SCRATCH  # bytes a direction may move before others get their turn
CALLS = 16  # … or reads

WAITING, AGAIN = range(2)

_READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_ENDING = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_LINGER_ZERO = b"\1\0\0\0\0\0\0\0"


class Side:
    """
    One socket of a pair, and what is known of it.

    Attributes:
        ending: Its end of stream or an error was announced. Data may still be
            before it, and the kernel will not announce anything again.

        failed: It was reset, or broke otherwise. Its end of stream is none.
    """

    __slots__ = ("ending", "failed", "readable", "sock", "writable")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.readable = self.writable = self.ending = self.failed = False

    def note(self, events: int) -> None:
        """Remember what the kernel announced."""
        self.readable |= bool(events & _READABLE)
        self.writable |= bool(events & select.EPOLLOUT)
        self.ending |= bool(events & _ENDING)
        self.failed |= bool(events & select.EPOLLERR)

    def recv_into(self, scratch: bytearray) -> int | None:
        """Bytes read, 0 at the end of stream, None while there is nothing."""
        try:
            count = self.sock.recv_into(scratch)
        except BlockingIOError:
            self.readable = False
            return None
        except OSError:
            self.failed = True
            return 0
        # Less than asked for means that nothing is left, unless the end was
        # announced together with the data: no second edge would tell of it.
        if count < len(scratch) and not self.ending:
            self.readable = False
        return count

    def send(self, data: memoryview) -> int:
        """Bytes taken, down to none."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            self.writable = False
        except OSError:
            self.fail()
        return 0

    def finish(self) -> None:
        """Send the end of stream."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.fail()

    def fail(self) -> None:
        """
        It refused for good; what it sent before may still be read.

        A failed call takes the error off the socket, so that its stream would
        seem to end as it should: this is what remembers that it does not.
        """
        self.failed = self.ending = self.readable = True
        self.writable = False


class Direction:
    """
    What flows from *source* to *sink*.

    Args:
        count: Told how many bytes the sink took.

    Attributes:
        ended: The source's end of stream was read.

        moved: Whether a byte of the source has been read.
    """

    __slots__ = ("_count", "_pending", "ended", "finished", "moved", "sink", "source")

    def __init__(self, source: Side, sink: Side, count: Callable[[int], None]) -> None:
        self.source = source
        self.sink = sink
        self.ended = self.finished = self.moved = False
        self._count = count
        self._pending = memoryview(b"")

    @property
    def done(self) -> bool:
        """The stream has ended, and all of it was passed on."""
        return self.ended and not self._pending

    @property
    def held(self) -> int:
        """Bytes that the sink has not taken yet."""
        return len(self._pending)

    def pump(self, scratch: bytearray) -> int:
        """
        Move what can be moved now.

        Returns `AGAIN` where the budget ran out first, else `WAITING`: for the
        source, for the sink, or for nothing any more.
        """
        budget = BUDGET
        for _ in range(CALLS):
            if budget <= 0:
                return AGAIN
            if not self._flush() or self.ended or not self.source.readable:
                return WAITING
            count = self.source.recv_into(scratch)
            if count is None:
                return WAITING
            self.ended = count == 0
            self.moved |= count > 0
            self._push(memoryview(scratch)[:count])
            budget -= count
        return AGAIN

    def _flush(self) -> bool:
        """Whether nothing is pending any more."""
        self._pending = self._write(self._pending)
        return not self._pending

    def _push(self, data: memoryview) -> None:
        # Only what the sink refuses is copied: the scratch buffer is everybody's.
        rest = self._write(data)
        if rest:
            self._pending = memoryview(bytes(rest))

    def _write(self, data: memoryview) -> memoryview:
        while data and self.sink.writable:
            taken = self.sink.send(data)
            self._count(taken)
            data = data[taken:]
        return data


def reset(sock: socket.socket) -> None:
    """Close *sock* so that its peer sees a reset, where the family knows resets."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    sock.close()
