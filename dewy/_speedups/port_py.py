"""A listener: connections that arrive at it, and their distribution."""

from __future__ import annotations

import errno
import os
import select
import socket
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .interface import CONNECT_BOUNDS, DURATION_BOUNDS, Errors, PortStats
from .table_py import Table

if TYPE_CHECKING:
    from .connection_py import Connection
    from .connector_py import Connector

__all__ = ["SHORTAGE", "Buckets", "Port", "prepare"]

ACCEPTS = 16  # connections accepted per turn; then established ones get theirs
SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
ALIVE = {
    "TCP_KEEPIDLE": 60,
    "TCP_KEEPALIVE": 60,  # as macOS calls it
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 6,
}


class Port:
    """
    Listening socket, with its backends and its counters.

    Attributes:
        open: Whether it has not been closed.

        leaving: Whether it has been closed, with the end of its last connection still
            to be reported.

        paused: Whether new connections wait in the kernel's backlog.

        resting: Whether descriptors or memory ran out, so that for a moment nothing is
            accepted.

        held: Connectors of clients that wait until something serves.
    """

    def __init__(
        self, number: int, listener: socket.socket, own: bool, balance: str
    ) -> None:
        self.number = number
        self.table = Table(balance)
        self.pairs: set[Connection] = set()
        self.held: set[Connector] = set()
        self.open = True
        self.leaving = self.paused = self.resting = False
        self.accepted = self.bytes_up = self.bytes_down = self.retries = 0
        self.errors = dict.fromkeys(Errors._fields, 0)
        self.connect_latency = Buckets(CONNECT_BOUNDS)
        self.duration = Buckets(DURATION_BOUNDS)
        self.listener = listener.dup()
        # Blocking mode is shared with every other holder of the socket.
        if own:
            self.listener.setblocking(False)
        self._blocking = os.get_blocking(self.listener.fileno())
        self._asked = select.poll()
        self._asked.register(self.listener, select.POLLIN)
        # Connections inherit these from the listener, which saves a call for each.
        prepare(self.listener)

    @property
    def accepting(self) -> bool:
        """Whether new connections are wanted."""
        return self.open and not (self.paused or self.resting)

    def accept(self) -> Iterator[socket.socket]:
        """
        Yield some of the waiting connections.

        Raises:
            OSError: the host is short of something, or the listener is broken.
        """
        for _ in range(ACCEPTS):
            if self._blocking and not self._asked.poll(0):
                return
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return
            except (ConnectionError, PermissionError):
                continue  # it left before its turn, or a firewall refuses it
            self.accepted += 1
            client.setblocking(False)
            yield client

    def seek_again(self) -> None:
        """Let waiting clients look at the table, which has changed."""
        for search in list(self.held):
            search.go_on()

    def stats(self) -> PortStats:
        """Return the counters at this moment."""
        return PortStats(
            accepted=self.accepted,
            active=len(self.pairs),
            bytes_up=self.bytes_up,
            bytes_down=self.bytes_down,
            retries=self.retries,
            panics=self.table.panics,
            errors=Errors(**self.errors),
            connect_latency=tuple(self.connect_latency.counts),
            connect_seconds=self.connect_latency.total,
            duration=tuple(self.duration.counts),
            duration_seconds=self.duration.total,
        )


class Buckets:
    """Histogram of values by upper bounds, which belong to their buckets."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count *value*."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


def prepare(sock: socket.socket) -> None:
    """Send small pieces at once, and notice when a peer has vanished."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in ALIVE.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
