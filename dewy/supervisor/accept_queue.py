"""Accept queue of a listening socket, and whether anything takes from it."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass, replace

from .processes import in_time, unaccepted

__all__ = ["AcceptQueue", "read_length", "read_on"]

PATIENCE = 10.0
"""Seconds that connections wait before it is said that nothing accepts."""

LOOKS = 3
"""Minimum number of looks that found the same connections waiting."""

Connections = frozenset[bytes]


@dataclass(frozen=True, slots=True)
class AcceptQueue:
    """
    State of an accept queue after successive looks; no input or output.

    Its length alone is no evidence: the queue of an overloaded program grows, too.
    The kernel hands out the oldest connection first, so an unmoved queue is one that
    none of those seen first has left.

    Attributes:
        length: Number of connections at the last look.

        waiting: Connections that were in the queue at all looks of the row.

        since, at: Times of the first and the last look of the row, in seconds.

        looks: Number of looks in the row.
    """

    length: int = 0
    waiting: Connections = frozenset()
    since: float = 0.0
    at: float = 0.0
    looks: int = 0

    def asks(self, length: int) -> bool:
        """Return whether the next look, at *length*, has to see the connections."""
        return 0 < self.length <= length

    def after(
        self, now: float, length: int, waiting: Connections = frozenset()
    ) -> AcceptQueue:
        """Return the state after a look; *waiting* is empty where it is not known."""
        if not length:
            return AcceptQueue()
        stayed = self.waiting & waiting
        if not stayed or stayed != self.waiting or length < self.length:
            return AcceptQueue(length, stayed or waiting, now, now, 1)
        return replace(self, length=length, at=now, looks=self.looks + 1)

    @property
    def unmoved(self) -> bool:
        """Whether several looks in a row found the same connections waiting."""
        return bool(self.waiting) and self.looks >= LOOKS

    def stuck(self, patience: float = PATIENCE) -> bool:
        """Return whether nothing accepts: unmoved for *patience* seconds."""
        return self.unmoved and self.at - self.since >= patience

    def describe(self, port: str) -> str:
        """Return the problem in words."""
        count = len(self.waiting)
        have = f"{count} {'has' if count == 1 else 'have'} waited"
        waited = f"{self.at - self.since:.0f} s"
        return f"nothing accepts connections on port {port}: {have} for {waited}"


def read_length(sock: socket.socket) -> int | None:
    """
    Return the number of connections that wait at *sock* to be accepted.

    None where the system does not tell, as of UNIX sockets.
    """
    if sys.platform != "linux":
        return None
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    # struct tcp_info: eight bytes, then words; the fifth is tcpi_unacked, which of
    # a listening socket is the length of its queue (tcp(7) has the structure).
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    return int(struct.unpack_from("=24xI", info)[0])


async def read_on(queue: AcceptQueue, sock: socket.socket, now: float) -> AcceptQueue:
    """
    Return the state of *queue* after another look, at *sock*.

    Raises:
        OSError: the system does not tell.
    """
    length = read_length(sock)
    if not length:
        return AcceptQueue()
    if not queue.asks(length):
        return queue.after(now, length)
    host, port = sock.getsockname()[:2]
    return queue.after(now, length, await in_time(unaccepted, host, port))
