"""Endpoints of the twin: sockets, their events, and the streams read of them."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import select
import socket
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["BUDGET", "GLANCE", "SCRATCH", "Endpoint", "ResetPoller"]

SCRATCH = 65536  # bytes read at once, and the most that is kept for a slow sink
BUDGET = 4 * SCRATCH  # bytes a stream may move before others get their turn
CALLS = 16  # … or reads
GLANCE = 0.1  # seconds
_LINGER_ZERO = b"\1\0\0\0\0\0\0\0"
_SIOCOUTQNSD = 0x894B  # of <linux/sockios.h>

Tell = Callable[["Endpoint", bool], object]


class ResetPoller:
    """
    Detector of resets on sockets waiting for neither bytes nor room.

    A loop cannot be asked for errors alone, and the reset of a client whose backend
    stalls, or that has ended its stream before, would go unnoticed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._poll = select.poll()
        self._ends: dict[int, Endpoint] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, end: Endpoint) -> None:
        """Examine *end* from now on."""
        self._ends[end.fd] = end
        self._poll.register(end.fd, 0)
        self._timer = self._timer or self.loop.call_later(GLANCE, self._look)

    def discard(self, end: Endpoint) -> None:
        """Examine *end* no longer, if it was."""
        if self._ends.pop(end.fd, None):
            self._poll.unregister(end.fd)

    def close(self) -> None:
        """Stop examining."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        for fd, _ in self._poll.poll(0):
            if end := self._ends.get(fd):  # else closed in consequence of another
                end.look()
        self._timer = self.loop.call_later(GLANCE, self._look) if self._ends else None


class Endpoint:
    """
    Socket of a client or a backend, and the stream that is read of it.

    *tell* is called with it, and with whether there is room, rather than bytes or a
    reset.
    """

    def __init__(self, sock: socket.socket, resets: ResetPoller, tell: Tell) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.pending = memoryview(b"")  # what was read, and not taken by the sink
        self.sent = 0  # bytes that were taken
        self.moved = self.ended = False  # a byte, or the end of stream, was read
        self.finished = False  # the end was passed on
        self.failed = False  # it was reset, or broke otherwise
        self.lost = False  # it did before its end of stream: an apparent end is none
        self._awaited = 0
        self._resets = resets
        self._tell = tell
        resets.add(self)

    def wait(self, *, for_bytes: bool = False, for_room: bool = False) -> None:
        """Wait for these events from now on, or for a reset alone."""
        awaited = select.POLLIN * for_bytes | select.POLLOUT * for_room
        new, old = awaited & ~self._awaited, self._awaited & ~awaited
        if not (new or old):
            return
        self._awaited, loop = awaited, self._resets.loop
        if new & select.POLLIN:
            loop.add_reader(self.fd, self._tell, self, False)
        if new & select.POLLOUT:
            loop.add_writer(self.fd, self._tell, self, True)
        if old & select.POLLIN:
            loop.remove_reader(self.fd)
        if old & select.POLLOUT:
            loop.remove_writer(self.fd)
        (self._resets.discard if awaited else self._resets.add)(self)

    @property
    def has_pending_events(self) -> bool:
        """Whether an awaited event has come, be it that the loop is late to tell."""
        asked = select.poll()
        asked.register(self.fd, self._awaited)
        # A hang-up or an error is reported again and again, wanted or not.
        return any(events & self._awaited for _, events in asked.poll(0))

    def look(self) -> None:
        """Tell if a reset has come."""
        if error := self.error():
            self.fail(error)
            self._tell(self, False)

    def error(self) -> int:
        """Return the errno that it broke with; 0 if it did not, or it was returned."""
        return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def fail(self, error: int | None = None) -> None:
        """Note that it broke, and by which errno if that is known."""
        self.failed = True
        # EPIPE says that the end had come first.
        self.lost = self.lost or error != errno.EPIPE

    @property
    def has_bytes(self) -> bool:
        """Whether there is something to read before the end, or a break."""
        return bool(self._try(self.sock.recv, 1, socket.MSG_PEEK))

    @property
    def done(self) -> bool:
        """Whether the stream has ended, and all of it was passed on."""
        return self.ended and not self.pending

    @property
    def complete(self) -> bool:
        """Whether all of the stream was passed on, up to an end that is one."""
        return self.done and not self.lost

    @property
    def has_room(self) -> bool:
        """Whether more may be read: a slow sink holds its source back."""
        return not (self.ended or self.pending)

    def move(self, sink: Endpoint | None, scratch: bytearray) -> bool:
        """Pass on to *sink*, or drop without one, what is fair; return if it is all."""
        budget = BUDGET
        self.pending = self._pass_on(self.pending, sink)
        for _ in range(CALLS):
            if not self.has_room:
                return True
            count = self._try(self.sock.recv_into, scratch)
            self.ended = count == 0
            if not count:
                return True
            self.moved = True
            # Only what the sink refuses is copied: the buffer is shared by all.
            if rest := self._pass_on(memoryview(scratch)[:count], sink):
                self.pending = memoryview(bytes(rest))
            budget -= count
            if budget <= 0:
                break
        return False

    def _pass_on(self, data: memoryview, sink: Endpoint | None) -> memoryview:
        if sink is None:
            return data[:0]
        while data and (taken := sink.send(data)):
            self.sent += taken
            data = data[taken:]
        return data

    def send(self, data: memoryview) -> int:
        """Return how many bytes the system takes, down to none."""
        return self._try(self.sock.send, data) or 0

    def _try(self, call: Callable[..., Any], *args: Any) -> Any:
        """Return what *call* does; None if the socket is not ready, 0 if it broke."""
        try:
            return call(*args)
        except BlockingIOError:
            return None
        except OSError as exc:
            # The socket forgets the error, and its stream will seem to end.
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
            error = self.error()
            if error or not self.failed:
                self.fail(error)

    def pass_end(self, sink: Endpoint) -> None:
        """Pass the end of the stream on, or leave it to the close of both."""
        self.finished = True
        if not sink.finished:
            sink.finish()

    def close(self, *, resetting: bool) -> None:
        """Close the socket in good order, or by a reset where its family knows any."""
        self.wait()
        self._resets.discard(self)
        if resetting and self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.sock.close()
