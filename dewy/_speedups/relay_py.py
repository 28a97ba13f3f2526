"""
The relay in pure Python: the specification, and the twin where no compiler was.

A half-close stays one, a reset stays one, and a slow reader holds its source back.
It runs on any event loop, on every system. `_speedups/relay_c.pyx` agrees with it.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
from collections.abc import Sequence
from typing import Any

from . import interface
from .connection_py import Connection, RelayEngine
from .endpoint_py import ResetPoller
from .interface import Address, BackendStats, Ended, Event, PortStats, WorkerStats
from .port_py import Backend, Port, check_address, check_balance

__all__ = ["Relay"]

REST = 0.1  # seconds without accepting, after descriptors ran out


class Relay(RelayEngine, interface.RelayProtocol):
    """Relay on the caller's loop, whatever the number of *threads*."""

    def __init__(self, threads: int, **options: Any) -> None:
        given = interface.RelayOptions(**options)
        check_balance(given.balance)
        timeouts = given.idle_timeout, given.backend_wait
        if min(threads, given.max_connections, given.journal, *timeouts) < 0:
            raise ValueError(
                "threads, max_connections, idle_timeout, backend_wait and journal "
                "are 0 or more"
            )
        super().__init__(given)
        self._limit = given.max_connections or math.inf
        self._ports: dict[int, Port] = {}
        self._listening: set[Port] = set()
        self._numbers = itertools.count(1)
        self._accepted = 0
        self._started = self._closed = False

    def __repr__(self) -> str:
        return f"<Relay of {len(self._ports)} ports, {len(self.pairs)} connections>"

    def start(self) -> None:
        self.resets = ResetPoller(asyncio.get_running_loop())
        self._started = True
        for port in self._ports.values():
            self._listen(port)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for number in self._ports:
                self.close_port(number)
                self.cut_port(number)
            if self._started:
                self.resets.close()
            self.events.close()

    def fileno(self) -> int:
        return self.events.fileno()

    def step(self) -> list[Event]:
        return self.events.take()

    def ended(self) -> tuple[list[Ended], int]:
        return self.journal.take()

    def open_port(
        self, listener: socket.socket, *, own: bool = True, paused: bool = False
    ) -> int:
        port = Port(next(self._numbers), listener, own, self.options.balance)
        self._ports[port.number] = port
        self._set(port, "paused", paused)
        return port.number

    def _seek(self, port: Port) -> None:
        """Let waiting clients look at the table, which has changed."""
        for pair in list(port.held):
            pair.seek()

    def pause(self, port: int) -> None:
        self._set(self._ports[port], "paused", True)

    def resume(self, port: int) -> None:
        self._set(self._ports[port], "paused", False)

    def close_port(self, port: int) -> None:
        found = self._ports[port]
        if found not in self.out:
            self._take_out(found)
            self._listen(found)
            found.listener.close()
            self._seek(found)

    def add_backend(
        self, port: int, family: int, address: Address, *, serving: bool = True
    ) -> int:
        found = self._ports[port]
        number = next(self._numbers)
        backend = Backend(number, found, family, check_address(family, address))
        self.backends[number] = backend
        if serving:
            found.table.add(backend)
            self._seek(found)
        return number

    def serve(self, port: int, backends: Sequence[int]) -> None:
        found = [self.backends[number] for number in backends]
        for backend in found:
            if backend.port is not self._ports[port]:
                raise KeyError(backend.number)
        self.out.difference_update(found)
        self.leaving.difference_update(found)
        for left in self._ports[port].table.swap(found):
            self._take_out(left)
        self._seek(self._ports[port])

    def drain(self, backend: int) -> int:
        found = self.backends[backend]
        found.port.table.discard(found)
        self._take_out(found)
        return len(found.pairs)

    def _take_out(self, member: Backend | Port) -> None:
        """Have the end of its last connection reported, once."""
        if member not in self.out:
            self.out.add(member)
            self.leaving.add(member)
            self.release(member)

    def eject(self, backend: int) -> None:
        self.backends[backend].port.table.eject(self.backends[backend])

    def restore(self, backend: int) -> None:
        self.backends[backend].port.table.restore(self.backends[backend])

    def recall(self, backend: int) -> int:
        return sum(pair.recall() for pair in list(self.backends[backend].pairs))

    def cut(self, backend: int) -> int:
        pairs = self.backends[backend].pairs
        for pair in [pair for pair in pairs if not pair.connected]:
            pair.recall()
        return self._cut(pairs)

    def cut_port(self, port: int) -> int:
        return self._cut(self._ports[port].pairs)

    def _cut(self, pairs: set[Connection]) -> int:
        present = list(pairs)
        for pair in present:
            pair.cut()
        return len(present)

    def remove(self, backend: int) -> None:
        found = self.backends.pop(backend)
        found.port.table.discard(found)
        self.out.discard(found)
        self.leaving.discard(found)
        self.events.unsay(backend, (interface.DRAINED, interface.SUSPECT))

    def port_stats(self, port: int) -> PortStats:
        return self._ports[port].stats()

    def backend_stats(self, backend: int) -> BackendStats:
        return self.backends[backend].stats()

    def worker_stats(self) -> list[WorkerStats]:
        held = sum(pair.buffers for pair in self.pairs)
        return [WorkerStats(self._accepted, 0, len(self.pairs), 0, 0, held)]

    def _set(self, port: Port, obstacle: str, there: bool) -> None:
        """Stop accepting for as long as *obstacle* is there."""
        (port.obstacles.add if there else port.obstacles.discard)(obstacle)
        self._listen(port)

    def _listen(self, port: Port) -> bool:
        """Accept at *port* if connections are wanted there; return whether they are."""
        room = self._started and len(self.pairs) < self._limit
        wanted = room and not (port in self.out or port.obstacles)
        if wanted and port not in self._listening:
            self._listening.add(port)
            self.resets.loop.add_reader(port.listener, self._accept, port)
        elif not wanted and port in self._listening:
            self._listening.discard(port)
            self.resets.loop.remove_reader(port.listener)
        return wanted

    def _accept(self, port: Port) -> None:
        if not self._listen(port):
            return  # another port has used up the room
        try:
            for client in port.accept():
                self._accepted += 1
                pair = Connection(self, port, client)
                self.pairs.add(pair)
                port.pairs.add(pair)
                pair.seek()
                if not self._listen(port):
                    break
        except OSError as exc:
            port.errors["accept_failed"] += 1
            self.events.say(interface.LISTENER_FAILED, port.number, exc.errno or 0)
            self._set(port, "short", True)
            self.resets.loop.call_later(REST, self._set, port, "short", False)

    def forget(self, pair: Connection) -> None:
        super().forget(pair)
        if len(self.pairs) + 1 >= self._limit:
            for port in self._ports.values():
                self._listen(port)
