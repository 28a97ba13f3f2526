"""The proxy: ports, their backends, and the relay between them."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Iterable, Mapping
from typing import Self

from .. import system
from .._speedups import COMPILED, PROBLEM, Relay
from .._speedups.interface import (
    DRAINED,
    IDLE,
    IDLE_TIMEOUT,
    LISTENER_FAILED,
    NO_ADDRESS,
    NO_BACKEND,
    SUSPECT,
    UNANSWERED,
    Ended,
)
from ..config import Endpoint
from .backend import Backend, Probe, reachable
from .listeners import Offered, Permissions, SocketFile, listen, permit, taken
from .port import Port

__all__ = [
    "JOURNAL_SIZE",
    "Proxy",
    "caution",
    "log_ended",
    "log_is_wanted",
    "most_connections",
    "stop",
    "thread_count",
]

log = logging.getLogger(__name__)


class Proxy:
    """
    Proxy that passes connections on to backends, while entered.

    Ports may be opened and backends added before: clients wait until it is entered. A
    port opened later accepts at once, and resets connections that no backend serves;
    open it *paused*, and resume it when there is a backend.

    Args:
        threads: Number of the relay's own threads; by default one for each usable CPU.
            With 0 it runs on the event loop, as its pure twin always does.

        idle_timeout: Seconds after which a connection is reset if neither side has sent
            or taken a byte; 0 for never.

        max_connections: Limit of open connections; 0 for what the descriptor limit
            allows.

        balance: `round-robin` or `least-connections`.

        proxy_protocol: Whether backends are told the client's address (PROXY protocol
            v2).

        backend_wait: Seconds that new connections wait while a port has no backend at
            all; with 0 they are reset at once.

        log_connections: Whether to log each connection that ends, if the log shows INFO
            by now.

        probe: Returns whether a suspected backend is available; by default, whether it
            accepts a connection and keeps it for a moment.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        idle_timeout: float = 3600.0,
        max_connections: int = 0,
        balance: str = "round-robin",
        proxy_protocol: bool = False,
        backend_wait: float = 0.0,
        log_connections: bool = False,
        probe: Probe | None = None,
    ) -> None:
        self._threads = thread_count(threads)
        if text := caution(max_connections, self._threads):
            log.warning("%s", text)
        self._logs = log_connections and log_is_wanted()
        self._relay = Relay(
            self._threads,
            idle_timeout=idle_timeout,
            max_connections=max_connections or most_connections(self._threads),
            balance=balance,
            proxy_protocol=proxy_protocol,
            backend_wait=backend_wait,
            journal=JOURNAL_SIZE if self._logs else 0,
        )
        self._proxy_protocol = proxy_protocol
        self._probe = probe or self._reachable
        self._ports: dict[int, Port] = {}
        self._files: dict[Port, SocketFile] = {}
        self._entered = self._stopped = False

    def __repr__(self) -> str:
        kind = f"{self._threads} threads" if COMPILED else "pure Python"
        return f"<Proxy of {len(self._ports)} ports, {kind}>"

    async def __aenter__(self) -> Self:
        if PROBLEM:
            log.warning("Compiled proxy not used", extra={"error": PROBLEM})
        self._relay.start()
        self._entered = True
        loop = asyncio.get_running_loop()
        loop.add_reader(self._relay.fileno(), self._step)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop(0.0)

    @property
    def ports(self) -> list[Port]:
        """Ports that were opened."""
        return list(self._ports.values())

    async def open(
        self,
        endpoint: Endpoint,
        offered: Offered = (),
        *,
        paused: bool = False,
        permissions: Permissions | None = None,
    ) -> Port:
        """
        Accept at *endpoint*, on a socket of our own or one the service manager
        *offered* for it; if *paused*, from `Port.resume` on.

        The file of a Unix socket of our own has *permissions*, and goes with the port.

        Raises:
            DewyError: the endpoint cannot be opened.
        """
        found = taken(endpoint, offered)
        if found:
            return self.adopt(found[1], own=False, paused=paused)
        with await listen(endpoint, permissions) as listener:
            port = self.adopt(listener, own=True, paused=paused)
        if path := endpoint.path:
            self._files[port] = await asyncio.to_thread(SocketFile.of, path)
        return port

    async def permit(self, port: Port, permissions: Permissions) -> None:
        """
        Give the file of *port* other *permissions*, if it is a Unix socket of our own.

        Raises:
            DewyError: they cannot be given.
        """
        if file := self._files.get(port):
            await permit(file, permissions)

    async def close(self, port: Port) -> None:
        """Accept no more at *port*; open connections live on. Idempotent."""
        # While it listens, no other file can be taken for its own.
        if file := self._files.pop(port, None):
            await asyncio.to_thread(file.remove)
        if not port.closed:
            port.close()

    async def forget(self, port: Port) -> None:
        """Forget *port*, which is idle, with its backends."""
        self._ports.pop(port.number, None)
        port.stop()
        for backend in port.backends:
            await backend.remove()

    def adopt(
        self, listener: socket.socket, *, own: bool, paused: bool = False
    ) -> Port:
        """
        Accept from *listener*, which stays the caller's.

        *own* says that no other process has it, so that it may be made non-blocking. If
        *paused*, no connection is accepted before `Port.resume`.
        """
        port = Port(self._relay, listener, own=own, paused=paused)
        self._ports[port.number] = port
        told = {"port": str(port.endpoint), "paused": paused}
        log.info("Opened port", extra=told)
        return port

    async def stop(self, seconds: float) -> int:
        """
        Accept no more, wait for the last connection, and reset those still open
        after *seconds*; how many they were. Idempotent.

        Cancelling it resets them at once.
        """
        if self._stopped:
            return 0
        self._stopped = True
        try:
            await self._ended(seconds if self._entered else 0.0)
        finally:
            cut = sum(port.cut() for port in self.ports)
            for port in self.ports:
                port.stop()
            asyncio.get_running_loop().remove_reader(self._relay.fileno())
            if self._logs:
                self._log_connections()
            self._relay.close()
            for backend in self._backends():
                await backend.stop_probing()
        log.info("Stopped proxy", extra={"cut": cut})
        return cut

    async def _ended(self, seconds: float) -> None:
        for port in self.ports:
            await self.close(port)
        log.info("Proxy accepts no more")
        if not seconds:
            return
        waiting = [asyncio.ensure_future(port.idle()) for port in self.ports]
        if not waiting:
            return
        try:
            await asyncio.wait(waiting, timeout=seconds)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

    def _backends(self) -> list[Backend]:
        return [backend for port in self.ports for backend in port.backends]

    def _step(self) -> None:
        for kind, subject, detail in self._relay.step():
            if kind in (DRAINED, SUSPECT):
                self._about_backend(kind, subject, detail)
            elif subject in self._ports:
                _about_port(self._ports[subject], kind, detail)
        if self._logs:
            self._log_connections()

    def _log_connections(self) -> None:
        ports = {number: str(port.endpoint) for number, port in self._ports.items()}
        backends = {each.number: str(each.endpoint) for each in self._backends()}
        log_ended(*self._relay.ended(), ports, backends)

    def _about_backend(self, kind: int, subject: int, detail: int) -> None:
        for backend in self._backends():
            if backend.number != subject:
                continue
            if kind == DRAINED:
                backend.drained()
            else:
                backend.suspected(detail != 0, self._probe)

    async def _reachable(self, backend: Backend) -> bool | None:
        return await reachable(backend.endpoint, proxy_protocol=self._proxy_protocol)


def _about_port(port: Port, kind: int, detail: int) -> None:
    if kind == IDLE:
        port.is_idle()
    elif kind == LISTENER_FAILED:
        port.troubled("accept_failed", error=os.strerror(detail))
    elif kind == NO_ADDRESS:
        port.troubled("no_address", error=os.strerror(detail))
    elif kind == UNANSWERED:
        lacking = {"error": os.strerror(detail)} if detail else {}
        port.troubled("unanswered", **lacking)
    elif kind == IDLE_TIMEOUT:
        port.troubled("idle_timeout")
    elif kind == NO_BACKEND:
        port.unserved()


# For everything but connections: logs, listeners, probes, the engine's own.
RESERVED = 200
PIPES = 64  # a thread's descriptors, at most
FEW = 500  # connections at a time that are worth a word where nobody asked for them


def thread_count(asked: int | None) -> int:
    """Return the relay's number of threads, one per usable CPU unless *asked*."""
    return system.usable_cpus() if asked is None else asked


def most_connections(threads: int) -> int:
    """Return how many connections the rest of the descriptors allow, at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _room(soft, threads)


def caution(connections: int, threads: int) -> str:
    """
    Return what is wrong with a limit of so many *connections* here; "" for nothing.

    0 is for as many as there can be. The hard limit of descriptors counts, to which
    dewy raises its own.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * (connections or FEW) + _spare(threads)
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return ""
    remedy = "raise LimitNOFILE= of the unit (ulimit -n)"
    if connections:
        what = f"--max-connections {connections} needs {needed} descriptors"
        return f"{what}, and the limit is {hard}: {remedy}"
    most = _room(hard, threads)
    what = f"the limit of {hard} descriptors bounds open connections to {most}"
    return f"{what}, while others wait: {remedy}"


def _room(descriptors: int, threads: int) -> int:
    return max((descriptors - _spare(threads)) // 2, 1)


def _spare(threads: int) -> int:
    return RESERVED + 2 * PIPES * max(threads, 1)


JOURNAL_SIZE = 4096
"""Capacity in connections; those beyond it between two readings are only counted."""


def log_is_wanted() -> bool:
    """Return whether the log shows those lines."""
    return log.isEnabledFor(logging.INFO)


def log_ended(
    entries: Iterable[Ended],
    missed: int,
    ports: Mapping[int, str],
    backends: Mapping[int, str],
) -> None:
    """
    Log *entries*, and how many were *missed*.

    Args:
        ports, backends: Names of both, by number.
    """
    for each in entries:
        told = {
            "port": ports.get(each.port, ""),
            "backend": backends.get(each.backend, ""),
            "client": each.client,
            "broken": each.broken,
            "bytes_up": each.bytes_up,
            "bytes_down": each.bytes_down,
            "seconds": round(each.seconds, 6),
        }
        log.info("Connection ended", extra=told)
    if missed:
        log.info("Connections not logged", extra={"count": missed})


async def stop(proxy: Proxy, seconds: float, hurry: asyncio.Event) -> None:
    """
    Stop the proxy as `Proxy.stop` does; reset the rest at once when *hurry* is set.
    """
    draining = asyncio.ensure_future(proxy.stop(seconds))
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        draining.cancel()
        hurried.cancel()
        await asyncio.wait({draining, hurried})
