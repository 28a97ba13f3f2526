"""A port of the proxy, and the backends that serve it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence

from .._speedups import Relay
from .._speedups.interface import PortStats
from ..config import Endpoint
from .backend import Backend
from .troubles import Troubles

__all__ = ["Port"]

log = logging.getLogger(__name__)


class Port:
    """
    Listening socket of the proxy, created by `Proxy.open`.

    Attributes:
        endpoint: Address at which it really listens.

        number: Number by which the relay knows it.

        closed: Whether it accepts no more.

        paused: Whether new connections wait in the kernel's backlog.
    """

    def __init__(
        self, relay: Relay, listener: socket.socket, *, own: bool, paused: bool
    ) -> None:
        self.endpoint = Endpoint.of(listener)
        self.number = relay.open_port(listener, own=own, paused=paused)
        self._relay = relay
        self._backends: list[Backend] = []
        self._idle = asyncio.Event()
        self._troubles = Troubles(lambda: self.stats().errors, port=str(self.endpoint))
        self.closed = self._warned = False
        self.paused = paused

    def __repr__(self) -> str:
        return f"<Port {self.endpoint} of {len(self.serving)} backends>"

    @property
    def backends(self) -> list[Backend]:
        """Backends that were added and not removed."""
        self._backends = [each for each in self._backends if not each.removed]
        return list(self._backends)

    @property
    def serving(self) -> list[Backend]:
        """Backends that get new connections."""
        return [backend for backend in self.backends if backend.serving]

    def add(self, endpoint: Endpoint, *, serving: bool = True) -> Backend:
        """Add a backend; if not *serving*, it waits for `serve`."""
        backend = Backend(
            self._relay, self.number, endpoint, at=self.endpoint, serving=serving
        )
        self._backends.append(backend)
        self._warned = False
        if serving:
            self._announce(backend)
        else:
            log.debug("Backend known", extra=self._tell(backend=str(endpoint)))
        return backend

    def _announce(self, backend: Backend) -> None:
        told = {"proxy_port": self.endpoint.port, "backend": str(backend.endpoint)}
        log.info("Backend added to TCP proxy", extra=self._tell(**told))

    def serve(self, backends: Sequence[Backend]) -> None:
        """
        Give new connections to exactly *backends*, from one instant on.

        Backends left out drain; `Backend.drain` waits for them.
        """
        self._relay.serve(self.number, [backend.number for backend in backends])
        for backend in self._backends:
            if backend in backends and not backend.serving:
                self._announce(backend)
            backend.serves(backend in backends)
        self._warned = False
        log.info("Swapped backends", extra=self._tell(backends=len(backends)))

    def pause(self) -> None:
        """Let new connections wait in the kernel's backlog."""
        self.paused = True
        self._relay.pause(self.number)
        log.info("Paused port", extra=self._tell())

    def resume(self) -> None:
        """Accept again, the waiting connections first."""
        self.paused = False
        self._relay.resume(self.number)
        log.info("Resumed port", extra=self._tell())

    def stats(self) -> PortStats:
        """Return its counters."""
        return self._relay.port_stats(self.number)

    def close(self) -> None:
        """Accept no more; open connections live on."""
        self.closed = True
        self._relay.close_port(self.number)

    async def idle(self) -> None:
        """Return when it is closed and its last connection has ended."""
        await self._idle.wait()

    def cut(self) -> int:
        """Reset its connections; return how many they were."""
        return self._relay.cut_port(self.number)

    def is_idle(self) -> None:
        """Handle the relay's report that its last connection has ended."""
        self._idle.set()

    def troubled(self, cause: str, **fields: object) -> None:
        """Handle the relay's report of an error; *cause* is its name in `Errors`."""
        self._troubles.report(cause, **fields)

    def stop(self) -> None:
        """Log what is left to be said of it."""
        self._troubles.stop()

    def unserved(self) -> None:
        """Handle the relay's report that a client found no backend; reported once."""
        if not self._warned:
            self._warned = True
            log.warning("Clients are turned away: no backend", extra=self._tell())

    def _tell(self, **more: object) -> dict[str, object]:
        return {"port": str(self.endpoint), **more}
