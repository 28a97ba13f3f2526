"""
Sockets of the twin, the events requested for them, and the transfer between two.

No byte may be lost on the way from one to the other.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import select
import socket
import sys
from collections.abc import Callable

__all__ = [
    "BUDGET",
    "CALLS",
    "SCRATCH",
    "PeerSocket",
    "Pump",
    "ResetPoller",
    "reset",
]

GLANCE = 0.1  # seconds
_LINGER_ZERO = b"\1\0\0\0\0\0\0\0"
_SIOCOUTQNSD = 0x894B  # of <linux/sockios.h>


class ResetPoller:
    """
    Detector of resets on sockets waiting for neither bytes nor room.

    A loop cannot be asked for errors alone, and the reset of a client whose backend
    stalls, or that has ended its stream before, would go unnoticed. The sockets are
    examined every tenth of a second, all of them in one call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._poll = select.poll()
        self._sides: dict[int, PeerSocket] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, side: PeerSocket) -> None:
        """Examine *side* from now on."""
        self._sides[side.fd] = side
        self._poll.register(side.fd, 0)
        if self._timer is None:
            self._timer = self.loop.call_later(GLANCE, self._look)

    def discard(self, side: PeerSocket) -> None:
        """Examine *side* no longer."""
        del self._sides[side.fd]
        self._poll.unregister(side.fd)

    def close(self) -> None:
        """Stop examining all sockets."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        for fd, _ in self._poll.poll(0):
            if fd in self._sides:  # and not closed in consequence of another
                self._sides[fd].look()
        if self._sides and self._timer is None:
            self._timer = self.loop.call_later(GLANCE, self._look)


class PeerSocket:
    """
    Socket of a pair.

    Args:
        broken: Called when a reset is noticed though nothing is wanted of the socket.

    Attributes:
        fd: File descriptor, which is what loops take it by: looking up a socket they do
            not know yet costs asyncio a dozen system calls.

        failed: Whether it was reset, or broke otherwise.

        lost: Whether it failed before its end of stream, so that an apparent end is
            none.
    """

    __slots__ = (
        "_broken",
        "_lookout",
        "_reading",
        "_writing",
        "failed",
        "fd",
        "lost",
        "sock",
    )

    def __init__(
        self, sock: socket.socket, lookout: ResetPoller, broken: Callable[[], object]
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.failed = self.lost = False
        self._reading = self._writing = False
        self._broken = broken
        self._lookout = lookout
        lookout.add(self)

    def reading(self, wanted: bool, tell: Callable[..., object], *args: object) -> None:
        """Have *tell* called while there is something to read, or not any more."""
        if wanted is self._reading:
            return
        self._change(wanted, self._writing)
        if wanted:
            self._lookout.loop.add_reader(self.fd, tell, *args)
        else:
            self._lookout.loop.remove_reader(self.fd)

    def writing(self, wanted: bool, tell: Callable[..., object], *args: object) -> None:
        """Have *tell* called while there is room to write, or not any more."""
        if wanted is self._writing:
            return
        self._change(self._reading, wanted)
        if wanted:
            self._lookout.loop.add_writer(self.fd, tell, *args)
        else:
            self._lookout.loop.remove_writer(self.fd)

    def _change(self, reading: bool, writing: bool) -> None:
        before, after = self._reading or self._writing, reading or writing
        self._reading, self._writing = reading, writing
        if before and not after:
            self._lookout.add(self)
        elif after and not before:
            self._lookout.discard(self)

    def look(self) -> None:
        """Report the socket if it is broken."""
        error = self._error()
        if error:
            self.fail(error)
            self._broken()

    @property
    def has_pending_events(self) -> bool:
        """Whether an awaited event has come that the loop has not reported yet."""
        wanted = select.POLLIN * self._reading | select.POLLOUT * self._writing
        asked = select.poll()
        asked.register(self.fd, wanted)
        # A hang-up or an error is reported again and again, wanted or not.
        return any(events & wanted for _, events in asked.poll(0))

    def _error(self) -> int:
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def fail(self, error: int | None = None) -> None:
        """Note that it broke, and by which errno if that is known."""
        self.failed = True
        if error != errno.EPIPE:  # which says that the end had come first
            self.lost = True

    def recv_into(self, scratch: bytearray) -> int | None:
        """
        Return the bytes read, 0 at the end of stream, None while there is nothing.
        """
        try:
            return self.sock.recv_into(scratch)
        except BlockingIOError:
            return None
        except OSError:
            self.fail()
            return 0

    def send(self, data: memoryview) -> int:
        """
        Return the bytes taken, down to none.

        A failed call takes the error off the socket, so that its stream would
        seem to end as it should: `lost` remembers that it does not.
        """
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            self.fail(exc.errno)
            return 0

    @property
    def unsent(self) -> int | None:
        """Bytes that the system holds and a reset would drop; None if unknown."""
        if self.sock.family == socket.AF_UNIX:
            return 0
        if sys.platform != "linux":
            return None
        held = fcntl.ioctl(self.fd, _SIOCOUTQNSD, bytes(4))
        return int.from_bytes(held, sys.byteorder)

    def finish(self) -> None:
        """Send the end of stream."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            # It broke before. How, only its own error tells, if it was not taken yet.
            error = self._error()
            if error or not self.failed:
                self.fail(error)

    def close(self, *, resetting: bool) -> None:
        """Close the socket, in good order or by a reset."""
        self.reading(False, self._broken)
        self.writing(False, self._broken)
        self._lookout.discard(self)
        if resetting:
            reset(self.sock)
        else:
            self.sock.close()


def reset(sock: socket.socket) -> None:
    """Close *sock* so that its peer sees a reset, where the family knows resets."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    sock.close()


SCRATCH = 65536  # bytes read at once, and the most that is kept for a slow sink
BUDGET = 4 * SCRATCH  # bytes a direction may move before others get their turn
CALLS = 16  # … or reads


class Pump:
    """
    Flow from *source* to *sink*.

    Args:
        count: Called with the number of bytes that the sink took.

    Attributes:
        ended: Whether the source's end of stream was read.

        finished: Whether the end was passed on to the sink.

        moved: Whether a byte of the source has been read.

        void: Whether the sink is gone, so that what is read is thrown away.
    """

    __slots__ = (
        "_count",
        "_pending",
        "ended",
        "finished",
        "moved",
        "sink",
        "source",
        "void",
    )

    def __init__(
        self, source: PeerSocket, sink: PeerSocket, count: Callable[[int], None]
    ) -> None:
        self.source = source
        self.sink = sink
        self.ended = self.finished = self.moved = self.void = False
        self._count = count
        self._pending = memoryview(b"")

    @property
    def held(self) -> int:
        """Bytes that the sink has not taken yet."""
        return len(self._pending)

    @property
    def done(self) -> bool:
        """Whether the stream has ended, and all of it was passed on."""
        return self.ended and not self._pending

    @property
    def wants(self) -> bool:
        """
        Whether there is room for more: a slow sink holds its source back.
        """
        return not (self.ended or self._pending)

    def move(self, scratch: bytearray) -> bool:
        """
        Move what can be moved, for as long as is fair.

        Return whether that was all, rather than what is fair.
        """
        budget = BUDGET
        for _ in range(CALLS):
            count = self._read(scratch)
            budget -= count
            if count == 0:
                return True
            if budget <= 0:
                break
        return False

    def rescue(self, scratch: bytearray) -> None:
        """Pass on what the broken source had sent, if the sink takes it."""
        while self._read(scratch):
            pass

    def forsake(self) -> None:
        """Note that the sink is gone."""
        self.void = True
        self._pending = memoryview(b"")

    def _read(self, scratch: bytearray) -> int:
        """
        Return the bytes read and passed on; 0 without any, or without room for them.
        """
        self._pending = self._write(self._pending)
        if not self.wants:
            return 0
        count = self.source.recv_into(scratch)
        if count is None:
            return 0
        self.ended = count == 0
        if count:
            self.moved = True
            rest = self._write(memoryview(scratch)[:count])
            if rest:
                # Only what the sink refuses is copied: the buffer is shared by all.
                self._pending = memoryview(bytes(rest))
        return count

    def _write(self, data: memoryview) -> memoryview:
        if self.void:
            return data[:0]
        while data:
            taken = self.sink.send(data)
            if not taken:
                break
            self._count(taken)
            data = data[taken:]
        return data
