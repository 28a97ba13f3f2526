"""The table of the twin: ports, their backends, and the choice of a backend."""

from __future__ import annotations

import os
import random
import select
import socket
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from weakref import WeakSet

from . import interface
from .interface import Address, BackendStats, Errors, PortStats

__all__ = ["BALANCES", "Backend", "Buckets", "Port", "Table", "prepare"]

BALANCES = ("round-robin", "least-connections")
ACCEPTS = 16  # connections accepted per turn; then established ones get theirs
ALIVE = {"IDLE": 60, "ALIVE": 60, "INTVL": 10, "CNT": 6}  # macOS calls the first ALIVE


def check_balance(balance: str) -> str:
    """Return *balance*; raise ValueError if it is unknown."""
    if balance not in BALANCES:
        raise ValueError(f"balance is {' or '.join(BALANCES)}, not {balance!r}")
    return balance


def check_address(family: int, address: Address) -> Address:
    """Return *address*; raise ValueError if it is no numeric one of *family*."""
    text = f"{address!r} is no numeric address of family {family}"
    if (family == socket.AF_UNIX) is isinstance(address, tuple):
        raise ValueError(text)
    if isinstance(address, tuple):
        try:
            socket.inet_pton(family, str(address[0]).partition("%")[0])
        except OSError as exc:
            raise ValueError(text) from exc
    return address


def prepare(sock: socket.socket) -> None:
    """Send small pieces at once, and notice when a peer has vanished."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in ALIVE.items():
            if option := getattr(socket, f"TCP_KEEP{name}", 0):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


class Backend:
    """Address that connections of a port go to."""

    LEFT = interface.DRAINED

    def __init__(self, number: int, port: Any, family: int, address: Address) -> None:
        self.number, self.port = number, port
        self.family, self.address = family, address
        self.pairs: set[Any] = set()  # open connections, and those being made
        self.counts = dict.fromkeys(BackendStats._fields, 0)

    def stats(self) -> BackendStats:
        """Return the counters at this moment."""
        return BackendStats(**self.counts | {"active": len(self.pairs)})


class Table:
    """Backends of a port that take new connections, the less busy of two on retries."""

    def __init__(self, balance: str) -> None:
        self._takes_turns = check_balance(balance) == BALANCES[0]
        self._members: list[Backend] = []
        self._usable: list[Backend] = []
        self._ejected = WeakSet[Backend]()
        self._panic = False
        self._turn = 0
        self.panics = 0  # times that the last backend that was not ejected was lost

    def __bool__(self) -> bool:
        return bool(self._members)

    def swap(self, backends: Sequence[Backend]) -> list[Backend]:
        """Serve *backends* from now on; return those left out."""
        kept = set(backends)
        out = [backend for backend in self._members if backend not in kept]
        self._change(list(backends))
        return out

    def add(self, backend: Backend) -> None:
        """Serve *backend*, too."""
        self._change([*self._members, backend])

    def discard(self, backend: Backend) -> None:
        """Serve *backend* no longer, if it was."""
        self._change([member for member in self._members if member is not backend])

    def eject(self, backend: Backend) -> None:
        """Use it only when nothing else is left; a sole backend is always used."""
        if self._members != [backend]:
            self._ejected.add(backend)
            self._change(self._members)

    def restore(self, backend: Backend) -> None:
        """Use it like the others again."""
        self._ejected.discard(backend)
        self._change(self._members)

    def pick(self, tried: Collection[Backend]) -> Backend | None:
        """Return a backend besides those *tried* in vain; None if no more is left."""
        # A retry leaves the turn as it is. Moved by it, the turn would go round
        # unevenly beside a backend that is dead; followed by it, all connections of a
        # backend that was killed would go to the next in turn.
        if self._takes_turns and self._usable and not tried:
            self._turn += 1
            return self._usable[(self._turn - 1) % len(self._usable)]
        fresh = [backend for backend in self._usable if backend not in tried]
        two = random.sample(fresh, min(2, len(fresh)))
        return min(two, key=lambda backend: len(backend.pairs), default=None)

    def _change(self, members: list[Backend]) -> None:
        self._members = members
        live = [backend for backend in members if backend not in self._ejected]
        panic = bool(members) and not live
        self.panics += panic and not self._panic
        self._panic = panic
        self._usable = live or members


class Port:
    """Listening socket, with its backends."""

    LEFT = interface.IDLE

    def __init__(
        self, number: int, listener: socket.socket, own: bool, balance: str
    ) -> None:
        self.number = number
        self.table = Table(balance)
        self.pairs: set[Any] = set()  # open connections
        self.held: set[Any] = set()  # connections that wait until something serves
        self.obstacles: set[str] = set()  # why connections wait in the backlog
        self.counts = dict.fromkeys(
            ("accepted", "bytes_up", "bytes_down", "retries"), 0
        )
        self.errors = dict.fromkeys(Errors._fields, 0)
        self.connect_latency = Buckets(interface.CONNECT_BOUNDS)
        self.duration = Buckets(interface.DURATION_BOUNDS)
        self.listener = listener.dup()
        # Blocking mode is shared with every other holder of the socket.
        if own:
            self.listener.setblocking(False)
        self._blocking = os.get_blocking(self.listener.fileno())
        self._asked = select.poll()
        self._asked.register(self.listener, select.POLLIN)
        # Connections inherit these from the listener, which saves a call for each.
        prepare(self.listener)

    def accept(self) -> Iterator[socket.socket]:
        """Yield some of the waiting connections; OSError if that cannot be done."""
        for _ in range(ACCEPTS):
            if self._blocking and not self._asked.poll(0):
                return
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return
            except (ConnectionError, PermissionError):
                continue  # it left before its turn, or a firewall refuses it
            self.counts["accepted"] += 1
            client.setblocking(False)
            yield client

    def stats(self) -> PortStats:
        """Return the counters at this moment."""
        return PortStats(
            active=len(self.pairs),
            panics=self.table.panics,
            errors=Errors(**self.errors),
            connect_latency=tuple(self.connect_latency.counts),
            connect_seconds=self.connect_latency.total,
            duration=tuple(self.duration.counts),
            duration_seconds=self.duration.total,
            **self.counts,
        )


class Buckets:
    """Histogram of values by upper bounds, which belong to their buckets."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count *value*."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value
