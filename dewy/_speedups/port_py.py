"""A listener: connections that arrive at it, and the choice of a backend for each."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from .interface import CONNECT_BOUNDS, DURATION_BOUNDS, BackendStats, Errors, PortStats

if TYPE_CHECKING:
    from .connection_py import Connection
    from .connector_py import Connector

__all__ = [
    "BALANCES",
    "SHORTAGE",
    "Backend",
    "Buckets",
    "Port",
    "Table",
    "check_address",
    "check_balance",
    "prepare",
]

Address = tuple[str, int] | tuple[str, int, int, int] | str | bytes

ROUND_ROBIN = "round-robin"
BALANCES = (ROUND_ROBIN, "least-connections")


def check_balance(balance: str) -> str:
    """
    Return *balance* unchanged.

    Raises:
        ValueError: *balance* is unknown.
    """
    if balance not in BALANCES:
        raise ValueError(f"balance is {' or '.join(BALANCES)}, not {balance!r}")
    return balance


def check_address(family: int, address: Address) -> Address:
    """
    Return *address* unchanged.

    Raises:
        ValueError: *address* is invalid for *family*, or not numeric.
    """
    if family == socket.AF_UNIX and isinstance(address, str | bytes):
        return address
    if family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
        try:
            socket.inet_pton(family, str(address[0]).partition("%")[0])
        except OSError as exc:
            raise ValueError(f"{address[0]!r} is no numeric address") from exc
        return address
    raise ValueError(f"{address!r} is no address of family {family}")


class Backend:
    """
    Address that connections go to.

    Attributes:
        draining: Whether it was taken out of the table.

        leaving: Whether it was taken out, with the end of its last connection still to
            be reported.

        removed: Whether it was forgotten.

        ejected: Whether a probe failed, so that it is used only when nothing else is
            left.

        pairs: Open connections, including those being made.

        parched_until: When to look for a local port again: a moment ago all of those
            towards it were taken.
    """

    def __init__(
        self,
        number: int,
        port: int,
        family: int,
        address: tuple[object, ...] | str | bytes,
    ) -> None:
        self.number = number
        self.port = port
        self.family = family
        self.address = address
        self.draining = self.leaving = self.removed = self.ejected = False
        self.pairs: set[Connection] = set()
        self.total = self.bytes_up = self.bytes_down = 0
        self.failures = self.suspicions = self.broken = 0
        self.parched_until = 0.0

    def stats(self) -> BackendStats:
        """Return the counters at this moment."""
        return BackendStats(
            total=self.total,
            active=len(self.pairs),
            bytes_up=self.bytes_up,
            bytes_down=self.bytes_down,
            failures=self.failures,
            suspicions=self.suspicions,
            broken=self.broken,
        )


class Table:
    """
    Backends of a port that take new connections.

    Args:
        balance: `round-robin`, or `least-connections` for the less busy of two chosen
            at random. Retries always go to the less busy of two.

    Attributes:
        panics: Number of times the last backend that was not ejected was lost.
    """

    def __init__(self, balance: str) -> None:
        self._takes_turns = balance == ROUND_ROBIN
        self._members: list[Backend] = []
        self._usable: list[Backend] = []
        self._turn = 0
        self._panic = False
        self.panics = 0

    def __contains__(self, backend: Backend) -> bool:
        return backend in self._members

    def __bool__(self) -> bool:
        return bool(self._members)

    def swap(self, backends: Sequence[Backend]) -> list[Backend]:
        """Serve *backends* from now on; return those left out."""
        kept = set(backends)
        out = [backend for backend in self._members if backend not in kept]
        self._members = list(backends)
        for backend in backends:
            backend.draining = backend.leaving = False
        self._refresh()
        return out

    def add(self, backend: Backend) -> None:
        """Add a backend that does not serve yet; nothing changes for those that do."""
        self._members.append(backend)
        self._refresh()

    def discard(self, backend: Backend) -> None:
        """Remove a backend."""
        self.swap([member for member in self._members if member is not backend])

    def eject(self, backend: Backend) -> None:
        """Use it only when nothing else is left; a sole backend is always used."""
        if self._members != [backend]:
            backend.ejected = True
            self._refresh()

    def restore(self, backend: Backend) -> None:
        """Use it like the others again."""
        backend.ejected = False
        self._refresh()

    def pick(self, tried: Collection[Backend]) -> Backend | None:
        """
        Return a backend besides those *tried* in vain; None if no more is left.
        """
        # A retry leaves the turn as it is. Moved by it, the turn would go round
        # unevenly beside a backend that is dead; followed by it, all connections of a
        # backend that was killed would go to the next in turn.
        if tried or not self._takes_turns:
            return self._less_busy(tried)
        return self._next()

    def has_another(self, tried: Collection[Backend]) -> bool:
        """Return whether `pick` would find one."""
        return any(backend not in tried for backend in self._usable)

    def _refresh(self) -> None:
        live = [backend for backend in self._members if not backend.ejected]
        panic = bool(self._members) and not live
        self.panics += panic and not self._panic
        self._panic = panic
        self._usable = live or self._members

    def _next(self) -> Backend | None:
        if not self._usable:
            return None
        backend = self._usable[self._turn % len(self._usable)]
        self._turn += 1
        return backend

    def _less_busy(self, tried: Collection[Backend]) -> Backend | None:
        fresh = [backend for backend in self._usable if backend not in tried]
        two = random.sample(fresh, min(2, len(fresh)))
        return min(two, key=lambda backend: len(backend.pairs), default=None)


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
