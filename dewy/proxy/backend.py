"""Backends of the proxy: their life cycle, probes and outcomes of connections."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from .._speedups.interface import BackendStats, RelayProtocol
from .._speedups.peers import is_self_connected
from .._speedups.proxy_protocol import LOCAL
from ..config import Endpoint
from ..system import SHORTAGE

__all__ = [
    "MIN_CONNECTIONS",
    "PROBE_TIMEOUT",
    "RATE_FACTOR",
    "Backend",
    "Outcomes",
    "Probe",
    "intervals",
    "reachable",
    "too_broken",
]

log = logging.getLogger(__name__)

Probe = Callable[["Backend"], Awaitable[bool | None]]
"""Return whether a backend may be used; None if this host cannot find out."""


class Backend:
    """
    Backend of a port, created by `Port.add`.

    Attributes:
        endpoint: Address of the backend.

        number: Number of the backend in the relay.

        ejected: Whether other backends are preferred, because this one failed.

        serving: Whether the backend gets new connections.

        removed: Whether the proxy has forgotten the backend.
    """

    def __init__(
        self,
        relay: RelayProtocol,
        port: int,
        endpoint: Endpoint,
        *,
        port_endpoint: Endpoint,
        serving: bool,
    ) -> None:
        self.endpoint = endpoint
        self.serving = serving
        self.ejected = self.removed = False
        self.number = relay.add_backend(
            port, endpoint.family, endpoint.address, serving=serving
        )
        self._relay = relay
        self._port_endpoint = port_endpoint
        self._last: BackendStats | None = None
        self._drained = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Backend {self.endpoint}>"

    @property
    def connections(self) -> int:
        """Number of connections that are open or being established."""
        return self.stats().active

    def stats(self) -> BackendStats:
        """Return the counters; after the removal, their last values."""
        return self._last or self._relay.backend_stats(self.number)

    async def drain(self, seconds: float | None) -> int:
        """
        Give the backend no new connections, and wait for the open ones to end.

        Return how many are still open after *seconds* (None: no limit). None of them is
        cut. Cancelling only ends the wait.
        """
        served, self.serving = self.serving, False
        left = self._relay.drain(self.number)
        if left:
            log.info("Draining backend", extra=self._log_fields(connections=left))
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._drained.wait()
            left = 0 if self.removed else self._relay.drain(self.number)
            log.info("Drained backend", extra=self._log_fields(connections=left))
        elif served:
            log.info("Drained backend", extra=self._log_fields(connections=0))
        return left

    def recall(self) -> int:
        """
        Move clients for whom no byte has passed to another backend; return how many.

        Drain or remove the backend first, or it may get new ones.
        """
        return self._relay.recall(self.number)

    def cut(self) -> int:
        """
        Reset the connections of a backend that is gone; return how many.

        Clients still being connected go to another backend. Drain or remove this one
        first.
        """
        return self._relay.cut(self.number)

    async def remove(self) -> None:
        """Forget the backend; its connections go on until they end. Idempotent."""
        if self.removed:
            return
        self.removed, self.serving = True, False
        self._last = self._relay.backend_stats(self.number)
        self._relay.remove(self.number)
        self._drained.set()
        await self.stop_probing()
        log.info("Removed backend", extra=self._log_fields())

    def set_serving(self, serving: bool) -> None:
        """Record whether the backend is in the table from now on."""
        self.serving = serving
        if serving:
            self._drained.clear()

    def on_drained(self) -> None:
        """Handle the relay's event that the last connection has ended."""
        self._drained.set()

    def eject(self) -> None:
        """Prefer other backends, for as long as there are any."""
        if not self.removed:
            self._relay.eject(self.number)
        self._eject()

    def restore(self) -> None:
        """Use the backend like the others again."""
        if self.ejected and not self.removed:
            self.ejected = False
            self._relay.restore(self.number)
            log.info("Restored backend", extra=self._log_fields())

    def on_suspect(self, failed: bool, probe: Probe) -> None:
        """Probe the backend until it may be used; eject it if a connect *failed*."""
        if failed:
            self._eject()
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(
                self._probe(probe), name=f"probe of {self.endpoint}"
            )

    async def _probe(self, probe: Probe) -> None:
        pauses = intervals()
        while not (answer := await probe(self)):
            if answer is not None:
                self._eject()
            await asyncio.sleep(next(pauses))
        self.restore()

    def _eject(self) -> None:
        if not self.ejected and not self.removed:
            self.ejected = True
            self._relay.eject(self.number)
            log.warning("Ejected backend", extra=self._log_fields())

    async def stop_probing(self) -> None:
        """Stop probing; `ejected` stays as it is."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    def _log_fields(self, **more: object) -> dict[str, object]:
        return {"port": str(self._port_endpoint), "backend": str(self.endpoint), **more}


PROBE_TIMEOUT = 2.0
# A userland proxy accepts before it knows whether the application is there.
STAY_OPEN_TIME = 0.1
FIRST_INTERVAL, MAX_INTERVAL = 0.5, 30.0


async def reachable(endpoint: Endpoint, *, proxy_protocol: bool = False) -> bool | None:
    """
    Return whether *endpoint* accepts a connection and keeps it open for a moment.

    None if this host lacked a port, a descriptor or memory to find out.

    Args:
        proxy_protocol: Whether to send a PROXY protocol v2 header (`LOCAL`) first.
    """
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(endpoint.family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            async with asyncio.timeout(PROBE_TIMEOUT):
                await loop.sock_connect(sock, endpoint.address)
            if is_self_connected(sock):
                return False
            if proxy_protocol:
                await loop.sock_sendall(sock, LOCAL)
            return await _stays_open(sock)
    except OSError as exc:  # TimeoutError is one
        return None if exc.errno in SHORTAGE else False


async def _stays_open(sock: socket.socket) -> bool:
    try:
        async with asyncio.timeout(STAY_OPEN_TIME):
            return bool(await asyncio.get_running_loop().sock_recv(sock, 1))
    except TimeoutError:
        return True


def intervals() -> Iterator[float]:
    """Yield the pauses between probes of a backend, in seconds, without end."""
    seconds = FIRST_INTERVAL
    while True:
        yield seconds
        seconds = min(seconds * 2, MAX_INTERVAL)


MIN_CONNECTIONS = 50
"""Connections to the new backends below which there is no verdict."""

RATE_FACTOR = 3
"""Multiple of the old backends' rate of broken connections that fails new ones."""


class Outcomes(NamedTuple):
    """
    Outcomes of the connections to some backends.

    Attributes:
        connections: Attempts to connect, failed ones included.

        broken: Connections that a backend closed without sending a byte, or reset,
            while the client was still there.
    """

    connections: int = 0
    broken: int = 0

    @classmethod
    def of(cls, counted: Iterable[BackendStats]) -> Outcomes:
        """Return the sum of the counters of backends."""
        return cls.total(cls(each.total, each.broken) for each in counted)

    @classmethod
    def total(cls, several: Iterable[Outcomes]) -> Outcomes:
        """Return the sum of *several* outcomes."""
        pairs = list(several)
        return cls(sum(each[0] for each in pairs), sum(each[1] for each in pairs))


def too_broken(new: Outcomes, old: Outcomes, share: float) -> bool:
    """
    Return whether the *new* backends break too many connections to pass probation.

    They do if they broke more than *share* (0 to 1) of at least `MIN_CONNECTIONS`, and
    at a rate at least `RATE_FACTOR` times that of the *old* ones, which is 0 if those
    had no connection. Read the old counters before the old backends drain: a program
    that is told to stop breaks connections, too.
    """
    if new.connections < MIN_CONNECTIONS or new.broken <= share * new.connections:
        return False
    return new.broken * old.connections >= RATE_FACTOR * old.broken * new.connections
