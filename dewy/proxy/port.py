"""A port of the proxy: its backends, its pauses, its troubles and its figures."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from .._speedups.interface import Errors, PortStats, RelayProtocol
from ..config import Endpoint
from .backend import Backend

__all__ = [
    "LOG_INTERVAL",
    "Pausing",
    "Port",
    "Troubles",
    "describe",
    "describe_backends",
]

log = logging.getLogger(__name__)

LOG_INTERVAL = 10.0
"""Seconds between two lines of one cause."""


class _Line(NamedTuple):
    level: int
    text: str
    advice: str = ""


_LINES = {
    "idle_timeout": _Line(logging.INFO, "Reset silent connections"),
    "unanswered": _Line(logging.WARNING, "Clients are turned away: no backend answers"),
    "no_address": _Line(
        logging.WARNING,
        "No local port left",
        "widen net.ipv4.ip_local_port_range, or add backends; clients wait for a while",
    ),
    "accept_failed": _Line(
        logging.WARNING,
        "Accepting failed",
        "raise LimitNOFILE= of the unit (ulimit -n); clients wait meanwhile",
    ),
}


class Troubles:
    """
    Log of the troubles of one port.

    The first of a cause is logged at once, those of the next seconds together.

    Args:
        count: Returns the port's errors by cause.

        fields: Keys of each line.
    """

    def __init__(self, count: Callable[[], Errors], **fields: object) -> None:
        self._count = count
        self._fields = fields
        self._told: dict[str, int] = {}
        self._resting: dict[str, asyncio.TimerHandle] = {}

    def report(self, cause: str, **fields: object) -> None:
        """Log that there is trouble of *cause*, unless it was logged a moment ago."""
        if cause not in self._resting:
            self._tell(cause, fields)

    def stop(self) -> None:
        """Log what has not been logged yet."""
        resting, self._resting = self._resting, {}
        for cause, timer in resting.items():
            timer.cancel()
            self._log(cause, {})

    def _tell(self, cause: str, fields: dict[str, object]) -> None:
        self._resting.pop(cause, None)
        if self._log(cause, fields):
            loop = asyncio.get_running_loop()
            self._resting[cause] = loop.call_later(
                LOG_INTERVAL, self._tell, cause, fields
            )

    def _log(self, cause: str, fields: dict[str, object]) -> bool:
        """Log the troubles since the last line; return whether there were any."""
        counted: int = getattr(self._count(), cause)
        new, self._told[cause] = counted - self._told.get(cause, 0), counted
        line = _LINES[cause]
        if new:
            told = {**self._fields, "count": new, **fields}
            advice = {"advice": line.advice} if line.advice else {}
            log.log(line.level, line.text, extra={**told, **advice})
        return bool(new)


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
        self, relay: RelayProtocol, listener: socket.socket, *, own: bool, paused: bool
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


class Pausable(Protocol):
    """A port, or what stands for several."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Pausing:
    """
    Pause of *ports*, all together.

    Attributes:
        paused: Whether new connections wait in the kernel's backlog.

        until: Time at which the pause ends by itself, by the loop's clock; None if
            never.
    """

    def __init__(self, ports: Sequence[Pausable]) -> None:
        self._ports = ports
        self._timer: asyncio.TimerHandle | None = None
        self.paused = False
        self.until: float | None = None

    def pause(self, seconds: float | None = None) -> None:
        """Let new connections wait: until `resume`, or for *seconds* from now."""
        self._forget_timer()
        if not self.paused:
            self.paused = True
            for port in self._ports:
                port.pause()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self.until = loop.time() + seconds
            self._timer = loop.call_later(seconds, self.resume)

    def resume(self) -> None:
        """Accept again, the waiting connections first."""
        self._forget_timer()
        if self.paused:
            self.paused = False
            for port in self._ports:
                port.resume()

    def begin(self, seconds: float | None) -> str:
        """Pause as asked for by an operator; return the sentence for them."""
        self.pause(None if seconds is None else float(seconds))
        until = "until `dewy resume`" if seconds is None else f"for {seconds:g} s"
        return f"new connections wait {until}"

    def end(self) -> str:
        """Resume as asked for by an operator; return the sentence for them."""
        was = self.paused
        self.resume()
        return "connections are accepted again" if was else "was not paused"

    def leave(self) -> None:
        """
        Prevent `resume`, leaving waiting connections to the next dewy, if any.
        """
        self._forget_timer()

    def _forget_timer(self) -> None:
        self.until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def describe(port: Port) -> dict[str, Any]:
    """
    Return the address and the counters of *port*.

    `errors` counts clients that no backend served and failed attempts to accept one,
    `retries` the attempts to connect after a client's first.
    """
    counted = port.stats()
    errors = counted.errors
    return {
        "address": str(port.endpoint),
        "connections": counted.active,
        "connections_total": counted.accepted,
        "bytes_up": counted.bytes_up,
        "bytes_down": counted.bytes_down,
        "errors": errors.unanswered + errors.no_backend + errors.accept_failed,
        "retries": counted.retries,
    }


def describe_backends(port: Port) -> list[dict[str, Any]]:
    """
    Return the backends of *port*, each with its `state` and its counters.

    `failures` counts attempts to connect to it that failed, `broken` the connections
    that it broke.
    """
    return [_describe(port, backend) for backend in port.backends]


def _describe(port: Port, backend: Backend) -> dict[str, Any]:
    counted = backend.stats()
    return {
        "id": f"{port.number}-{backend.number}",
        "address": str(backend.endpoint),
        "port": str(port.endpoint),
        "state": _state(backend),
        "connections": counted.active,
        "connections_total": counted.total,
        "bytes_up": counted.bytes_up,
        "bytes_down": counted.bytes_down,
        "failures": counted.failures,
        "broken": counted.broken,
    }


def _state(backend: Backend) -> str:
    """Return `serving`, `ejected` where it does not answer, or `draining`."""
    if not backend.serving:
        return "draining"
    return "ejected" if backend.ejected else "serving"
