"""The TCP proxy: its ports and backends, and the events of the relay below them."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from collections import ChainMap
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
from .listeners import Offered, Permissions, SocketFile, find_offered, listen, permit
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
    TCP proxy, which relays while it is entered as a context.

    Ports may be opened and backends added before: clients wait until then. A port
    opened later accepts at once and resets clients that no backend serves; open it
    *paused*, and resume it when it has a backend.

    Args:
        threads: Threads of the relay; None for one per usable CPU. With 0 the relay
            runs on the event loop, as its pure twin always does.

        idle_timeout: Seconds after which a connection is reset if no byte moved in
            either direction; 0 for never.

        max_connections: Maximum number of open connections; 0 for as many as the
            descriptor limit allows.

        balance: `round-robin` or `least-connections`.

        proxy_protocol: Whether backends are told the client's address, by a PROXY
            protocol v2 header.

        backend_wait: Seconds that new connections wait while their port has no backend;
            with 0 they are reset at once.

        log_connections: Whether to log each connection at its end, provided that the
            log shows INFO now.

        probe: Returns whether a suspected backend may be used again; by default,
            whether it is `reachable`.

    Raises:
        ValueError: *balance* or a number is not valid.
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
        loop.add_reader(self._relay.fileno(), self._handle_events)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop(0.0)

    @property
    def ports(self) -> list[Port]:
        """Ports that were opened and not forgotten."""
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
        Accept at *endpoint*, on the socket the service manager *offered* for it or else
        a new one; if *paused*, not before `Port.resume`.

        The file of a new Unix socket gets *permissions*, and is removed with the port.

        Raises:
            ConfigError: the permissions name a user or group that does not exist.
            DewyError: the endpoint cannot be opened.
        """
        if found := find_offered(endpoint, offered):
            return self.adopt(found[1], own=False, paused=paused)
        with await listen(endpoint, permissions) as listener:
            port = self.adopt(listener, own=True, paused=paused)
        if path := endpoint.path:
            self._files[port] = await asyncio.to_thread(SocketFile.of, path)
        return port

    async def permit(self, port: Port, permissions: Permissions) -> None:
        """
        Change the *permissions* of the file of *port*, if `open` made one.

        Raises:
            ConfigError: they name a user or group that does not exist.
            DewyError: they cannot be changed.
        """
        if file := self._files.get(port):
            await permit(file, permissions)

    async def close(self, port: Port) -> None:
        """Accept no more connections at *port*; open ones go on. Idempotent."""
        # Before the port: while a socket lives, no other file has its inode number.
        if file := self._files.pop(port, None):
            await asyncio.to_thread(file.remove)
        if not port.closed:
            port.close()

    async def forget(self, port: Port) -> None:
        """Forget *port*, which is idle, and its backends."""
        self._ports.pop(port.number, None)
        port.stop()
        for backend in port.backends:
            await backend.remove()

    def adopt(
        self, listener: socket.socket, *, own: bool, paused: bool = False
    ) -> Port:
        """
        Accept from a duplicate of *listener*, which the caller closes.

        Args:
            own: Whether no other process shares the socket, so that it may be made
                non-blocking.

            paused: Whether to accept no connection before `Port.resume`.
        """
        port = Port(self._relay, listener, own=own, paused=paused)
        self._ports[port.number] = port
        fields = {"port": str(port.endpoint), "paused": paused}
        log.info("Opened port", extra=fields)
        return port

    async def stop(self, seconds: float) -> int:
        """
        Accept no more connections, let the open ones end, and reset those that are left
        after *seconds*; return how many. Idempotent.

        Cancelling resets them at once.
        """
        if self._stopped:
            return 0
        self._stopped = True
        try:
            await self._drain(seconds if self._entered else 0.0)
        finally:
            cut = sum(port.cut() for port in self.ports)
            for port in self.ports:
                port.stop()
            asyncio.get_running_loop().remove_reader(self._relay.fileno())
            if self._logs:
                self._log_connections()
            self._relay.close()
            log.info("Stopped proxy", extra={"cut": cut})
            for backend in self._backends():
                await backend.stop_probing()
        return cut

    async def _drain(self, seconds: float) -> None:
        for port in self.ports:
            await self.close(port)
        log.info("Proxy accepts no more")
        if not seconds:
            return
        waiting = [
            asyncio.create_task(port.idle(), name=f"drain of {port.endpoint}")
            for port in self.ports
        ]
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

    def _handle_events(self) -> None:
        for kind, subject, detail in self._relay.step():
            if kind in (DRAINED, SUSPECT):
                self._notify_backend(kind, subject, detail)
            elif subject in self._ports:
                _notify_port(self._ports[subject], kind, detail)
        if self._logs:
            self._log_connections()

    def _log_connections(self) -> None:
        ports = {number: str(port.endpoint) for number, port in self._ports.items()}
        backends = [port.addresses() for port in self.ports]
        log_ended(*self._relay.ended(), ports, ChainMap(*backends))

    def _notify_backend(self, kind: int, subject: int, detail: int) -> None:
        for backend in self._backends():
            if backend.number != subject:
                continue
            if kind == DRAINED:
                backend.on_drained()
            else:
                backend.on_suspect(detail != 0, self._probe)

    async def _reachable(self, backend: Backend) -> bool | None:
        return await reachable(backend.endpoint, proxy_protocol=self._proxy_protocol)


def _notify_port(port: Port, kind: int, detail: int) -> None:
    if kind == IDLE:
        port.on_idle()
    elif kind == LISTENER_FAILED:
        port.on_error("accept_failed", error=os.strerror(detail))
    elif kind == NO_ADDRESS:
        port.on_error("no_address", error=os.strerror(detail))
    elif kind == UNANSWERED:
        error = {"error": os.strerror(detail)} if detail else {}
        port.on_error("unanswered", **error)
    elif kind == IDLE_TIMEOUT:
        port.on_error("idle_timeout")
    elif kind == NO_BACKEND:
        port.on_no_backend()


# Descriptors for everything but connections: logs, listeners, probes, the engine.
RESERVED = 200
PIPES = 64  # per thread of the relay, at most
# Without --max-connections, room for fewer connections than this is worth a warning.
FEW = 500


def thread_count(asked: int | None) -> int:
    """Return the number of threads of the relay: *asked*, or one per usable CPU."""
    return system.usable_cpus() if asked is None else asked


def most_connections(threads: int) -> int:
    """Return how many connections the soft descriptor limit allows, at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _room(soft, threads)


def caution(connections: int, threads: int) -> str:
    """
    Return a warning if this host has no descriptors for *connections*; "" if it has.

    With 0 connections (no limit) warn where fewer than `FEW` are possible. The hard
    limit counts, for dewy raises its soft limit to it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * (connections or FEW) + _reserved(threads)
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return ""
    remedy = "raise LimitNOFILE= of the unit (ulimit -n)"
    if connections:
        problem = f"--max-connections {connections} needs {needed} descriptors"
        return f"{problem}, and the limit is {hard}: {remedy}"
    most = _room(hard, threads)
    problem = f"the limit of {hard} descriptors bounds open connections to {most}"
    return f"{problem}, while others wait: {remedy}"


def _room(descriptors: int, threads: int) -> int:
    return max((descriptors - _reserved(threads)) // 2, 1)


def _reserved(threads: int) -> int:
    return RESERVED + 2 * PIPES * max(threads, 1)


JOURNAL_SIZE = 4096
"""Ended connections kept between two readings; those beyond are only counted."""


def log_is_wanted() -> bool:
    """Return whether the log shows the lines of `log_ended`."""
    return log.isEnabledFor(logging.INFO)


def log_ended(
    entries: Iterable[Ended],
    missed: int,
    ports: Mapping[int, str],
    backends: Mapping[int, str],
) -> None:
    """
    Log the ended connections *entries*, and how many others were *missed*.

    Args:
        ports, backends: Addresses to show, by number in the relay.
    """
    for each in entries:
        fields = {
            "port": ports.get(each.port, ""),
            "backend": backends.get(each.backend, ""),
            "client": each.client,
            "broken": each.broken,
            "bytes_up": each.bytes_up,
            "bytes_down": each.bytes_down,
            "seconds": round(each.seconds, 6),
        }
        log.info("Connection ended", extra=fields)
    if missed:
        log.info("Connections not logged", extra={"count": missed})


async def stop(proxy: Proxy, seconds: float, hurry: asyncio.Event) -> None:
    """
    Stop the proxy as `Proxy.stop` does; reset what is left at once if *hurry* is set.
    """
    draining = asyncio.create_task(proxy.stop(seconds), name="drain of the proxy")
    hurrying = asyncio.create_task(hurry.wait(), name="hurry of the proxy")
    try:
        await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        draining.cancel()
        hurrying.cancel()
        await asyncio.wait({draining, hurrying})
    if not draining.cancelled():
        draining.result()
