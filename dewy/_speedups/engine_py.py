"""The twin's engine: one epoll set, and everything that happens in a step."""

from __future__ import annotations

import asyncio
import math
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterable

from .interface import DRAINED, IDLE, LISTENER_FAILED, SUSPECT, Event
from .pair_py import Pair
from .port_py import Port
from .preface import preface
from .pump_py import SCRATCH, Side, reset
from .table_py import Backend
from .wheel_py import Wheel

__all__ = ["Engine"]

BATCH = 256
REST = 0.1  # seconds without accepting, after descriptors ran out
WATCHED = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


class Engine:
    """
    Everything that is shared by the connections of a relay.

    Attributes:
        now: The monotonic clock, as of the beginning of the step.

        scratch: Where every direction reads into; nothing stays there.
    """

    def __init__(
        self,
        *,
        idle_timeout: float,
        max_connections: int,
        proxy_protocol: bool,
        connect_timeout: float,
        connect_budget: float,
    ) -> None:
        self.idle_timeout = idle_timeout
        self.connect_timeout = connect_timeout
        self.connect_budget = connect_budget
        self.scratch = bytearray(SCRATCH)
        self.now = time.monotonic()
        self.accepted = 0
        self.pairs: set[Pair] = set()
        self._limit = max_connections or math.inf
        self._proxy_protocol = proxy_protocol
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._ringing = False
        self._watched: dict[int, tuple[Side, Pair]] = {}
        self._listening: dict[int, Port] = {}
        self._waiting: set[Port] = set()
        self._queue: deque[Pair] = deque()
        self._leaving: list[tuple[socket.socket, bool]] = []
        self._events: dict[Event, None] = {}
        shortest = min(filter(None, (connect_timeout, connect_budget, idle_timeout)))
        self._wheel: Wheel[Pair] = Wheel(min(0.5, shortest / 8))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._set_timer()

    def close(self) -> None:
        self.settle()
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        self._epoll.close()
        os.close(self._bell)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def step(self) -> list[Event]:
        """Do what can be done without waiting; return what happened since."""
        self.now = time.monotonic()
        for fd, mask in self._epoll.poll(0, BATCH):
            self._dispatch(fd, mask)
        for _ in range(len(self._queue)):
            pair = self._queue.popleft()
            pair.queued = False
            pair.turn()
        events = list(self._events)
        self._events.clear()
        self.settle()
        return events

    def _dispatch(self, fd: int, mask: int) -> None:
        if fd in self._watched:
            side, pair = self._watched[fd]
            side.note(mask)
            pair.noted(side)
        elif fd in self._listening:
            self._accept(self._listening[fd])

    def _accept(self, port: Port) -> None:
        if not self.listen(port):
            return
        try:
            for client in port.accept():
                self.accepted += 1
                pair = Pair(self, port, client)
                self.pairs.add(pair)
                port.pairs.add(pair)
                pair.open()
                if not self.listen(port):
                    break
        except OSError as exc:
            port.errors["accept_failed"] += 1
            self.rest(port, exc.errno or 0)

    def settle(self) -> None:
        """Close what is to be closed, and be called again if there is reason to."""
        # Not at once: until a batch is done, a number must not mean another socket.
        for sock, resetting in self._leaving:
            reset(sock) if resetting else sock.close()
        self._leaving.clear()
        wanted = bool(self._events or self._queue)
        if wanted != self._ringing:
            self._ringing = wanted
            os.eventfd_write(self._bell, 1) if wanted else os.eventfd_read(self._bell)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is None and self._wheel and self._loop is not None:
            self._timer = self._loop.call_later(self._wheel.tick, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.now = time.monotonic()
        for pair in self._wheel.take(self.now):
            pair.expire()
        self.settle()

    def listen(self, port: Port) -> bool:
        """Accept on *port* if newcomers are wanted there now; whether they are."""
        fd = port.listener.fileno()
        room = len(self.pairs) < self._limit
        wanted = port.accepting and room
        if wanted and fd not in self._listening:
            self._listening[fd] = port
            self._epoll.register(fd, select.EPOLLIN)
        elif not wanted and fd in self._listening:
            del self._listening[fd]
            self._epoll.unregister(fd)
        if port.open and not room:
            self._waiting.add(port)
        else:
            self._waiting.discard(port)
        return wanted

    def rest(self, port: Port, problem: int) -> None:
        """This host ran short of something: accept again in a moment."""
        self.say(LISTENER_FAILED, port.number, problem)
        port.resting = True
        self.listen(port)
        if self._loop is not None:
            self._loop.call_later(REST, self._rested, port)

    def _rested(self, port: Port) -> None:
        port.resting = False
        if port.open:
            self.listen(port)

    def watch(self, side: Side, pair: Pair) -> None:
        """Tell *pair* what becomes possible on *side*."""
        fd = side.sock.fileno()
        self._watched[fd] = (side, pair)
        self._epoll.register(fd, WATCHED)

    def forget(self, side: Side, *, resetting: bool) -> None:
        """Close *side* at the end of this step."""
        del self._watched[side.sock.fileno()]
        self._leaving.append((side.sock, resetting))

    def remind(self, pair: Pair, due: float) -> None:
        """Have *pair* expire at *due*, which may be never."""
        if due == math.inf:
            self._wheel.drop(pair)
        else:
            self._wheel.put(pair, due)

    def again(self, pair: Pair) -> None:
        """*pair* has more to move, after the others had their turn."""
        if not pair.queued:
            pair.queued = True
            self._queue.append(pair)

    def preface(self, client: socket.socket) -> bytes:
        """What a backend is told before the client's first byte."""
        return preface(client) if self._proxy_protocol else b""

    def ended(self, pair: Pair) -> None:
        """*pair* is over."""
        self._wheel.drop(pair)
        self.pairs.discard(pair)
        pair.port.pairs.discard(pair)
        self.idle_perhaps(pair.port)
        for port in list(self._waiting):
            self.listen(port)

    def release(self, backend: Backend, pair: Pair) -> None:
        """*pair* is with *backend* no longer."""
        backend.pairs.discard(pair)
        self.drained_perhaps(backend)

    def drained_perhaps(self, backend: Backend) -> None:
        """Say so once, if it is so."""
        if backend.leaving and not backend.pairs:
            backend.leaving = False
            self.say(DRAINED, backend.number)

    def idle_perhaps(self, port: Port) -> None:
        """Say so once, if it is so."""
        if port.leaving and not port.pairs:
            port.leaving = False
            self.say(IDLE, port.number)

    def suspect(self, backend: Backend, problem: int = 0) -> None:
        """*backend* should be probed."""
        if not backend.removed:
            self.say(SUSPECT, backend.number, problem)

    def say(self, kind: int, subject: int, detail: int = 0) -> None:
        """Have `step` return this, once."""
        if not any(kind == said and subject == of for said, of, _ in self._events):
            self._events[kind, subject, detail] = None

    def unsay(self, backend: int, kinds: Iterable[int]) -> None:
        """What was to be said of a backend is of no interest any more."""
        for event in [e for e in self._events if e[0] in kinds and e[1] == backend]:
            del self._events[event]
