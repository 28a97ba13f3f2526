"""Ports of the proxy: their backends, pauses, errors and counters."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
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
"""Minimum seconds between two lines about the same cause."""


MAX_REMOVED = 1000
"""Removed backends whose addresses are kept: some connections outlive them."""


class _Message(NamedTuple):
    level: int
    text: str
    advice: str = ""


_MESSAGES = {
    "idle_timeout": _Message(logging.INFO, "Reset silent connections"),
    "unanswered": _Message(
        logging.WARNING, "Clients are turned away: no backend answers"
    ),
    "no_address": _Message(
        logging.WARNING,
        "No local port left",
        "widen net.ipv4.ip_local_port_range, or add backends; clients wait for a while",
    ),
    "accept_failed": _Message(
        logging.WARNING,
        "Accepting failed",
        "raise LimitNOFILE= of the unit (ulimit -n); clients wait meanwhile",
    ),
}


class Troubles:
    """
    Rate-limited log of the errors on a port.

    The first error of a cause is logged at once, those of the next `LOG_INTERVAL`
    together.

    Args:
        count: Returns the port's error counters.

        fields: Fields of every line.
    """

    def __init__(self, count: Callable[[], Errors], **fields: object) -> None:
        self._count = count
        self._fields = fields
        self._logged: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def report(self, cause: str, **fields: object) -> None:
        """Log an error; *cause* is its name in `Errors`, which counts it."""
        if cause not in self._timers:
            self._log_and_wait(cause, fields)

    def stop(self) -> None:
        """Log the errors that wait for the end of their interval."""
        timers, self._timers = self._timers, {}
        for cause, timer in timers.items():
            timer.cancel()
            self._log(cause, {})

    def _log_and_wait(self, cause: str, fields: dict[str, object]) -> None:
        self._timers.pop(cause, None)
        if self._log(cause, fields):
            loop = asyncio.get_running_loop()
            self._timers[cause] = loop.call_later(
                LOG_INTERVAL, self._log_and_wait, cause, fields
            )

    def _log(self, cause: str, fields: dict[str, object]) -> bool:
        """Log the errors since the last line; return whether there were any."""
        counted: int = getattr(self._count(), cause)
        new, self._logged[cause] = counted - self._logged.get(cause, 0), counted
        message = _MESSAGES[cause]
        if new:
            extra = {**self._fields, "count": new, **fields}
            advice = {"advice": message.advice} if message.advice else {}
            log.log(message.level, message.text, extra={**extra, **advice})
        return bool(new)


class Port:
    """
    Listening socket of the proxy, created by `Proxy.open`.

    Attributes:
        endpoint: Address of the socket, with the number that the kernel chose for 0.

        number: Number of the port in the relay.

        closed: Whether no more connections are accepted, for good.

        paused: Whether new connections wait in the kernel's backlog.
    """

    def __init__(
        self, relay: RelayProtocol, listener: socket.socket, *, own: bool, paused: bool
    ) -> None:
        self.endpoint = Endpoint.of(listener)
        self.number = relay.open_port(listener, own=own, paused=paused)
        self._relay = relay
        self._backends: list[Backend] = []
        self._removed: deque[tuple[int, str]] = deque(maxlen=MAX_REMOVED)
        self._idle = asyncio.Event()
        self._troubles = Troubles(lambda: self.stats().errors, port=str(self.endpoint))
        self.closed = self._warned = False
        self.paused = paused

    def __repr__(self) -> str:
        return f"<Port {self.endpoint} of {len(self.serving)} backends>"

    @property
    def backends(self) -> list[Backend]:
        """Backends that were added and not removed, in that order."""
        former = [each for each in self._backends if each.removed]
        self._removed += [(each.number, str(each.endpoint)) for each in former]
        self._backends = [each for each in self._backends if not each.removed]
        return list(self._backends)

    def addresses(self) -> dict[int, str]:
        """Return the addresses of backends by number, with those lately removed."""
        present = {each.number: str(each.endpoint) for each in self.backends}
        return dict(self._removed) | present

    @property
    def serving(self) -> list[Backend]:
        """Backends that get new connections."""
        return [backend for backend in self.backends if backend.serving]

    def add(self, endpoint: Endpoint, *, serving: bool = True) -> Backend:
        """Add a backend; if not *serving*, it gets no connections before `serve`."""
        backend = Backend(
            self._relay,
            self.number,
            endpoint,
            port_endpoint=self.endpoint,
            serving=serving,
        )
        self._backends.append(backend)
        self._warned = False
        if serving:
            self._announce(backend)
        else:
            log.debug("Backend known", extra=self._log_fields(backend=str(endpoint)))
        return backend

    def _announce(self, backend: Backend) -> None:
        fields = {"proxy_port": self.endpoint.port, "backend": str(backend.endpoint)}
        log.info("Backend added to TCP proxy", extra=self._log_fields(**fields))

    def serve(self, backends: Sequence[Backend]) -> None:
        """
        Give new connections to exactly *backends*, atomically.

        The others drain; `Backend.drain` waits for their connections.
        """
        self._relay.serve(self.number, [backend.number for backend in backends])
        for backend in self._backends:
            if backend in backends and not backend.serving:
                self._announce(backend)
            backend.set_serving(backend in backends)
        self._warned = False
        log.info("Swapped backends", extra=self._log_fields(backends=len(backends)))

    def pause(self) -> None:
        """Let new connections wait in the kernel's backlog."""
        self.paused = True
        self._relay.pause(self.number)
        log.info("Paused port", extra=self._log_fields())

    def resume(self) -> None:
        """Accept again, beginning with the connections that wait."""
        self.paused = False
        self._relay.resume(self.number)
        log.info("Resumed port", extra=self._log_fields())

    def stats(self) -> PortStats:
        """Return the counters of this port."""
        return self._relay.port_stats(self.number)

    def close(self) -> None:
        """Accept no more connections; open ones go on."""
        self.closed = True
        self._relay.close_port(self.number)

    async def idle(self) -> None:
        """Wait until the port is closed and its last connection has ended."""
        await self._idle.wait()

    def cut(self) -> int:
        """Reset all connections; return how many."""
        return self._relay.cut_port(self.number)

    def on_idle(self) -> None:
        """Handle the relay's event that the last connection has ended."""
        self._idle.set()

    def on_error(self, cause: str, **fields: object) -> None:
        """Handle the relay's event of an error; *cause* is its name in `Errors`."""
        self._troubles.report(cause, **fields)

    def stop(self) -> None:
        """Log the errors that are left to log."""
        self._troubles.stop()

    def on_no_backend(self) -> None:
        """Handle the relay's event of a client without backend; logs only the first."""
        if not self._warned:
            self._warned = True
            log.warning("Clients are turned away: no backend", extra=self._log_fields())

    def _log_fields(self, **more: object) -> dict[str, object]:
        return {"port": str(self.endpoint), **more}


class Pausable(Protocol):
    """A port, or a group of ports."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Pausing:
    """
    Pause of several *ports* together.

    Attributes:
        paused: Whether new connections wait in the kernel's backlog.

        until: Time on the loop's clock at which the pause ends by itself; None for
            no end.
    """

    def __init__(self, ports: Sequence[Pausable]) -> None:
        self._ports = ports
        self._timer: asyncio.TimerHandle | None = None
        self.paused = False
        self.until: float | None = None

    def pause(self, seconds: float | None = None) -> None:
        """Let new connections wait, until `resume` or for *seconds* from now."""
        self._cancel_timer()
        if not self.paused:
            self.paused = True
            for port in self._ports:
                port.pause()
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self.until = loop.time() + seconds
            self._timer = loop.call_later(seconds, self.resume)

    def resume(self) -> None:
        """Accept again, beginning with the connections that wait."""
        self._cancel_timer()
        if self.paused:
            self.paused = False
            for port in self._ports:
                port.resume()

    def begin(self, seconds: float | None) -> str:
        """Pause for an operator; return the answer to print."""
        self.pause(None if seconds is None else float(seconds))
        until = "until `dewy resume`" if seconds is None else f"for {seconds:g} s"
        return f"new connections wait {until}"

    def end(self) -> str:
        """Resume for an operator; return the answer to print."""
        was = self.paused
        self.resume()
        return "connections are accepted again" if was else "was not paused"

    def leave(self) -> None:
        """Cancel the timed resume: waiting connections are for the next dewy."""
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        self.until = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def describe(port: Port) -> dict[str, Any]:
    """
    Return the address and the counters of *port*, as the admin API shows them.

    `errors` counts clients that no backend served and failures to accept; `retries`
    counts the attempts to connect beyond the first for a client.
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
    Return the backends of *port* with state and counters, as the admin API shows them.

    `failures` counts failed attempts to connect; `broken` is that of `Outcomes`.
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
    """Return `serving`, `ejected` or `draining`."""
    if not backend.serving:
        return "draining"
    return "ejected" if backend.ejected else "serving"
