"""A backend: an address for connections, its probe, and the outcomes of its own."""

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
    "ENOUGH",
    "PROBE_TIMEOUT",
    "TIMES",
    "Backend",
    "Outcomes",
    "Probe",
    "intervals",
    "reachable",
    "too_broken",
]

log = logging.getLogger(__name__)

Probe = Callable[["Backend"], Awaitable[bool | None]]
"""Whether a backend may be used; None if it could not be found out."""


class Backend:
    """
    Backend of a port, created by `Port.add`.

    Attributes:
        endpoint: Address of the backend.

        number: Number by which the relay knows it.

        ejected: Whether it failed to answer, so that the others are preferred to it.

        serving: Whether it gets new connections.

        removed: Whether the proxy has forgotten it.
    """

    def __init__(
        self,
        relay: RelayProtocol,
        port: int,
        endpoint: Endpoint,
        *,
        at: Endpoint,
        serving: bool,
    ) -> None:
        self.endpoint = endpoint
        self.serving = serving
        self.ejected = self.removed = False
        self.number = relay.add_backend(
            port, endpoint.family, endpoint.address, serving=serving
        )
        self._relay = relay
        self._at = at
        self._last: BackendStats | None = None
        self._drained = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Backend {self.endpoint}>"

    @property
    def connections(self) -> int:
        """Number of connections that are open, or being made."""
        return self.stats().active

    def stats(self) -> BackendStats:
        """Return its counters; once it is removed, those up to its removal."""
        return self._last or self._relay.backend_stats(self.number)

    async def drain(self, seconds: float | None) -> int:
        """
        Take it out of the table, and wait for its last connection.

        Return how many are left: none, or those still open after *seconds*; None is for
        ever. Nothing is cut; cancelling this only ends the waiting.
        """
        served, self.serving = self.serving, False
        left = self._relay.drain(self.number)
        if left:
            log.info("Draining backend", extra=self._tell(connections=left))
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._drained.wait()
            left = 0 if self.removed else self._relay.drain(self.number)
            log.info("Drained backend", extra=self._tell(connections=left))
        elif served:
            log.info("Drained backend", extra=self._tell(connections=0))
        return left

    def recall(self) -> int:
        """
        Send clients still being connected to it to another backend; return how many.

        Drain or remove it first, or it may be given new ones.
        """
        return self._relay.recall(self.number)

    def cut(self) -> int:
        """
        Reset its connections, as it is gone; return how many they were.

        Connections still being made go to another backend; drain or remove it first.
        """
        return self._relay.cut(self.number)

    async def remove(self) -> None:
        """Forget it; its connections end by themselves. Idempotent."""
        if self.removed:
            return
        self.removed, self.serving = True, False
        self._last = self._relay.backend_stats(self.number)
        self._relay.remove(self.number)
        self._drained.set()
        await self.stop_probing()
        log.info("Removed backend", extra=self._tell())

    def serves(self, serving: bool) -> None:
        """Note whether it is in the table from now on."""
        self.serving = serving
        if serving:
            self._drained.clear()

    def drained(self) -> None:
        """Handle the relay's report that its last connection has ended."""
        self._drained.set()

    def eject(self) -> None:
        """Prefer the others to it, for as long as there are any."""
        if not self.removed:
            self._relay.eject(self.number)
        self._eject()

    def restore(self) -> None:
        """Use it like the others again."""
        if self.ejected and not self.removed:
            self.ejected = False
            self._relay.restore(self.number)
            log.info("Restored backend", extra=self._tell())

    def suspected(self, failed: bool, probe: Probe) -> None:
        """
        Have *probe* examine the backend; if a connection *failed*, eject it first.
        """
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
            log.warning("Ejected backend", extra=self._tell())

    async def stop_probing(self) -> None:
        """Stop probing, and leave its state as it is."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    def _tell(self, **more: object) -> dict[str, object]:
        return {"port": str(self._at), "backend": str(self.endpoint), **more}


PROBE_TIMEOUT = 2.0
# A process may accept on behalf of an application that is not there, and find out only
# then.
MOMENT = 0.1
FIRST_INTERVAL, LONGEST_INTERVAL = 0.5, 30.0


async def reachable(endpoint: Endpoint, *, proxy_protocol: bool = False) -> bool | None:
    """
    Return whether *endpoint* accepts a connection and keeps it for a moment.

    None is for a host that lacked what it takes to find out: a port or a descriptor.

    Args:
        proxy_protocol: Whether the backend expects the PROXY protocol first, which then
            names no client.
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
            return await _stays(sock)
    except OSError as exc:  # TimeoutError is one
        return None if exc.errno in SHORTAGE else False


async def _stays(sock: socket.socket) -> bool:
    try:
        async with asyncio.timeout(MOMENT):
            return bool(await asyncio.get_running_loop().sock_recv(sock, 1))
    except TimeoutError:
        return True


def intervals() -> Iterator[float]:
    """Yield the seconds from one probe of an ejected backend to the next."""
    seconds = FIRST_INTERVAL
    while True:
        yield seconds
        seconds = min(seconds * 2, LONGEST_INTERVAL)


ENOUGH = 50
"""Minimum number of connections to the new backends for a verdict."""

TIMES = 3
"""Factor of the old backends' rate that counts as far more often."""


class Outcomes(NamedTuple):
    """
    Results of the connections given to some backends.

    Attributes:
        connections: Attempts to connect to them, failed ones included.

        broken: Number of those they closed without a byte to the client, or reset,
            while the client was still there.
    """

    connections: int = 0
    broken: int = 0

    @classmethod
    def of(cls, counted: Iterable[BackendStats]) -> Outcomes:
        """Sum up the counters of backends."""
        return cls.total(cls(each.total, each.broken) for each in counted)

    @classmethod
    def total(cls, several: Iterable[Outcomes]) -> Outcomes:
        """Sum up *several*, such as those of all new replicas."""
        pairs = list(several)
        return cls(sum(each[0] for each in pairs), sum(each[1] for each in pairs))


def too_broken(new: Outcomes, old: Outcomes, share: float) -> bool:
    """
    Return whether the *new* backends fail their probation by their figures.

    They do if they broke more than *share* of at least `ENOUGH` connections, and at
    least `TIMES` as many of theirs as the *old* ones did. Old ones without a
    connection have broken none. Take their figures before they drain: what is told to
    stop breaks connections, too.
    """
    if new.connections < ENOUGH or new.broken <= share * new.connections:
        return False
    return new.broken * old.connections >= TIMES * old.broken * new.connections
