"""State shared by the connections of the twin: the loop, limits, events."""

from __future__ import annotations

import asyncio
import math
import socket

from .connection_py import Connection
from .endpoint_py import ResetPoller
from .event_queue_py import EventQueue
from .interface import DRAINED, IDLE, LISTENER_FAILED, SUSPECT
from .journal_py import Journal
from .port_py import Port
from .proxy_protocol import preface
from .pump_py import SCRATCH
from .silence_py import LOOKS
from .table_py import Backend

__all__ = ["RelayEngine"]

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
