"""
Sockets of the twin, and the events requested of the event loop for them.

A loop reports again and again what is possible and not made use of. It is therefore
asked only for what is wanted at that moment; anything else would keep it busy.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import select
import socket
import sys
from collections.abc import Callable

__all__ = ["PeerSocket", "ResetPoller", "reset"]

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
