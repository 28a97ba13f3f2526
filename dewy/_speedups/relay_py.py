"""
The relay in pure Python: the specification, and the twin where no compiler was.

It passes TCP and Unix stream connections on to backends, byte for byte: a
half-close stays one, a reset stays one, and a slow reader holds its source back.
All of it runs on the caller's event loop, whichever that is: plain asyncio and
uvloop do, on every system they know. `_speedups/relay_c.pyx` must agree with it.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Sequence

from .connection_py import Connection
from .endpoint_py import SCRATCH, ResetPoller
from .interface import (
    DRAINED,
    IDLE,
    LISTENER_FAILED,
    SUSPECT,
    BackendStats,
    Ended,
    Event,
    PortStats,
    WorkerStats,
)
from .peers import LOOKS
from .port_py import Address, Backend, Port, check_address, check_balance
from .proxy_protocol import preface
from .queues_py import EventQueue, Journal

__all__ = [
    "Relay",
    "RelayEngine",
]


class Relay:
    """
    Relay: ports, their backends, and the connections between.

    Args:
        threads: Number for the compiled twin; this one always runs on the loop.

        idle_timeout: Seconds after which a connection is reset if neither peer has sent
            or taken a byte, of what the system holds for it, too; 0 for never.

        max_connections: Limit of open connections, over all ports; new ones wait in the
            kernel's backlog. 0 is no limit.

        balance: `round-robin` or `least-connections`.

        proxy_protocol: Whether backends are told the client's address (PROXY protocol
            v2).

        connect_timeout: Seconds for one attempt to reach a backend.

        connect_budget: Seconds for all attempts of one client.

        backend_wait: Seconds that a client waits while nothing serves its port; with 0
            it is reset at once.

        journal: Number of ended connections that are kept for `ended`; 0 costs nothing.
    """

    def __init__(
        self,
        threads: int,
        *,
        idle_timeout: float = 3600.0,
        max_connections: int = 0,
        balance: str = "round-robin",
        proxy_protocol: bool = False,
        connect_timeout: float = 2.0,
        connect_budget: float = 5.0,
        backend_wait: float = 0.0,
        journal: int = 0,
    ) -> None:
        if min(threads, max_connections, idle_timeout, backend_wait, journal) < 0:
            raise ValueError(
                "threads, max_connections, idle_timeout, backend_wait and journal "
                "are 0 or more"
            )
        self._balance = check_balance(balance)
        self._engine = RelayEngine(
            idle_timeout=idle_timeout,
            max_connections=max_connections,
            proxy_protocol=proxy_protocol,
            connect_timeout=connect_timeout,
            connect_budget=connect_budget,
            backend_wait=backend_wait,
            journal=journal,
        )
        self._ports: dict[int, Port] = {}
        self._backends: dict[int, Backend] = {}
        self._last = 0
        self._closed = False

    def __repr__(self) -> str:
        connections = len(self._engine.pairs)
        return f"<Relay of {len(self._ports)} ports, {connections} connections>"

    def start(self) -> None:
        """Start in the thread of the running loop, on which everything happens."""
        self._engine.start()
        for port in self._ports.values():
            self._engine.listen(port)

    def close(self) -> None:
        """Reset every connection and stop listening; idempotent."""
        if self._closed:
            return
        self._closed = True
        for number in self._ports:
            self.close_port(number)
            self.cut_port(number)
        self._engine.close()

    def fileno(self) -> int:
        """Return a descriptor that is readable while `step` has something to do."""
        return self._engine.news.fileno()

    def step(self) -> list[Event]:
        """Return the events since the last call."""
        return self._engine.news.take()

    def ended(self) -> tuple[list[Ended], int]:
        """
        Return the connections that have ended since the last call, and how many more
        did for which the journal had no room.
        """
        journal = self._engine.journal
        return journal.take() if journal is not None else ([], 0)

    def open_port(
        self, listener: socket.socket, *, own: bool = True, paused: bool = False
    ) -> int:
        """
        Accept from *listener*, which stays the caller's; return the port's number.

        *own* says that no other process has it, so that it may be made non-blocking. If
        *paused*, no connection is accepted before `resume`.
        """
        port = Port(self._number(), listener, own, self._balance)
        port.paused = paused
        self._ports[port.number] = port
        self._engine.listen(port)
        return port.number

    def _number(self) -> int:
        self._last += 1
        return self._last

    def pause(self, port: int) -> None:
        """Let new connections wait in the kernel's backlog."""
        self._ports[port].paused = True
        self._relisten(port)

    def resume(self, port: int) -> None:
        """Accept again, the waiting connections first."""
        self._ports[port].paused = False
        self._relisten(port)

    def _relisten(self, port: int) -> None:
        if self._ports[port].open:
            self._engine.listen(self._ports[port])

    def close_port(self, port: int) -> None:
        """Stop listening; open connections live on. `IDLE` follows their end."""
        found = self._ports[port]
        if found.open:
            found.open = False
            found.leaving = True
            self._engine.listen(found)
            found.listener.close()
            found.seek_again()
            self._engine.idle_perhaps(found)

    def add_backend(
        self, port: int, family: int, address: Address, *, serving: bool = True
    ) -> int:
        """
        Add a backend to *port*, serving at once if *serving*; return its number.

        Raises:
            ValueError: *address* is invalid for *family*, or not numeric.
        """
        table = self._ports[port].table
        backend = Backend(self._number(), port, family, check_address(family, address))
        self._backends[backend.number] = backend
        if serving:
            table.add(backend)
            self._ports[port].seek_again()
        return backend.number

    def serve(self, port: int, backends: Sequence[int]) -> None:
        """Have *backends* serve from now on, in this order; the others drain."""
        found = [self._backends[number] for number in backends]
        for backend in found:
            if backend.port != port:
                raise KeyError(backend.number)
        for out in self._ports[port].table.swap(found):
            self._leave(out)
        self._ports[port].seek_again()

    def drain(self, backend: int) -> int:
        """
        Give *backend* no new connections; return how many it still has.

        `DRAINED` follows when there are none; it is on its way if this is 0.
        """
        found = self._backends[backend]
        self._ports[found.port].table.discard(found)
        self._leave(found)
        return len(found.pairs)

    def _leave(self, backend: Backend) -> None:
        if not backend.draining:
            backend.draining = backend.leaving = True
            self._engine.drained_perhaps(backend)

    def eject(self, backend: int) -> None:
        """Prefer the other backends, if there are any, as a probe failed."""
        found = self._backends[backend]
        self._ports[found.port].table.eject(found)

    def restore(self, backend: int) -> None:
        """Use the backend like the others again, as a probe succeeded."""
        found = self._backends[backend]
        self._ports[found.port].table.restore(found)

    def recall(self, backend: int) -> int:
        """
        Give clients of *backend* for whom nothing has passed yet, connected or not, to
        another one; return how many they were.
        """
        return sum(pair.recall() for pair in list(self._backends[backend].pairs))

    def cut(self, backend: int) -> int:
        """
        Reset the connections of *backend*, which is gone; return how many they were.

        Clients that are still being connected to it are given to another one.
        """
        pairs = self._backends[backend].pairs
        for pair in [pair for pair in pairs if not pair.connected]:
            pair.search.go_on()
        return self._cut(pairs)

    def cut_port(self, port: int) -> int:
        """Reset every connection of *port*; return how many they were."""
        return self._cut(self._ports[port].pairs)

    def _cut(self, pairs: set[Connection]) -> int:
        count = len(pairs)
        for pair in list(pairs):
            pair.cut()
        return count

    def remove(self, backend: int) -> None:
        """Forget *backend*; its connections end by themselves."""
        found = self._backends.pop(backend)
        self._ports[found.port].table.discard(found)
        found.removed, found.leaving = True, False
        self._engine.news.unsay(backend, (DRAINED, SUSPECT))

    def port_stats(self, port: int) -> PortStats:
        """Return the counters of *port*."""
        return self._ports[port].stats()

    def backend_stats(self, backend: int) -> BackendStats:
        """Return the counters of *backend*."""
        return self._backends[backend].stats()

    def worker_stats(self) -> list[WorkerStats]:
        """Return the share of each thread: here one, without pipes."""
        pairs = self._engine.pairs
        return [
            WorkerStats(
                accepted=self._engine.accepted,
                handed_over=0,
                active=len(pairs),
                pipes_held=0,
                pipes_pooled=0,
                buffers_held=sum(pair.buffers for pair in pairs),
            )
        ]


REST = 0.1  # seconds without accepting, after descriptors ran out


class RelayEngine:
    """
    Engine shared by the connections of a relay.

    Attributes:
        scratch: Buffer that every direction reads into; nothing stays there.

        journal: Journal of connections that ended, if it is read.
    """

    def __init__(
        self,
        *,
        idle_timeout: float,
        max_connections: int,
        proxy_protocol: bool,
        connect_timeout: float,
        connect_budget: float,
        backend_wait: float,
        journal: int,
    ) -> None:
        self.idle_timeout = idle_timeout
        self.doubt = idle_timeout / LOOKS
        self.connect_timeout = connect_timeout
        self.connect_budget = connect_budget
        self.backend_wait = backend_wait
        self.scratch = bytearray(SCRATCH)
        self.news = EventQueue()
        self.journal = Journal(journal, self.news.ring) if journal else None
        self.accepted = 0
        self.pairs: set[Connection] = set()
        self._limit = max_connections or math.inf
        self._proxy_protocol = proxy_protocol
        self._listening: set[Port] = set()
        self._waiting: set[Port] = set()
        self._lookout: ResetPoller | None = None

    @property
    def lookout(self) -> ResetPoller:
        """Detector of resets, available from the start."""
        assert self._lookout is not None
        return self._lookout

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Event loop, available from the start."""
        return self.lookout.loop

    def start(self) -> None:
        self._lookout = ResetPoller(asyncio.get_running_loop())

    def close(self) -> None:
        if self._lookout is not None:
            self._lookout.close()
        self.news.close()

    def listen(self, port: Port) -> bool:
        """
        Accept on *port* if connections are wanted there; return whether they are.
        """
        if self._lookout is None:
            return False
        room = len(self.pairs) < self._limit
        wanted = port.accepting and room
        if wanted and port not in self._listening:
            self._listening.add(port)
            self.loop.add_reader(port.listener.fileno(), self._accept, port)
        elif not wanted and port in self._listening:
            self._listening.discard(port)
            self.loop.remove_reader(port.listener.fileno())
        if port.open and not room:
            self._waiting.add(port)
        else:
            self._waiting.discard(port)
        return wanted

    def _accept(self, port: Port) -> None:
        if not self.listen(port):
            return  # another port has used up the room
        try:
            for client in port.accept():
                self.accepted += 1
                pair = Connection(self, port, client)
                self.pairs.add(pair)
                port.pairs.add(pair)
                pair.search.go_on()
                if not self.listen(port):
                    break
        except OSError as exc:
            port.errors["accept_failed"] += 1
            self._rest(port, exc.errno or 0)

    def _rest(self, port: Port, problem: int) -> None:
        """Stop accepting for a moment, as this host ran short of something."""
        self.news.say(LISTENER_FAILED, port.number, problem)
        port.resting = True
        self.listen(port)
        self.loop.call_later(REST, self._rested, port)

    def _rested(self, port: Port) -> None:
        port.resting = False
        if port.open:
            self.listen(port)

    def preface(self, client: socket.socket) -> bytes:
        """Return the bytes that a backend gets before the client's first one."""
        return preface(client) if self._proxy_protocol else b""

    def ended(self, pair: Connection) -> None:
        """Forget *pair*, which is over."""
        self.pairs.discard(pair)
        pair.port.pairs.discard(pair)
        self.idle_perhaps(pair.port)
        for port in list(self._waiting):
            self.listen(port)

    def assign(self, backend: Backend, pair: Connection) -> None:
        """Count *pair* for *backend* from now on."""
        backend.pairs.add(pair)

    def release(self, backend: Backend, pair: Connection) -> None:
        """Count *pair* for *backend* no longer."""
        backend.pairs.discard(pair)
        self.drained_perhaps(backend)

    def drained_perhaps(self, backend: Backend) -> None:
        """Report once that *backend* is drained, if it is."""
        if backend.leaving and not backend.pairs:
            backend.leaving = False
            self.news.say(DRAINED, backend.number)

    def idle_perhaps(self, port: Port) -> None:
        """Report once that *port* is idle, if it is."""
        if port.leaving and not port.pairs:
            port.leaving = False
            self.news.say(IDLE, port.number)

    def suspect(self, backend: Backend, problem: int = 0) -> None:
        """Report that *backend* should be probed."""
        if not backend.removed:
            self.news.say(SUSPECT, backend.number, problem)
