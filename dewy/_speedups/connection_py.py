"""A connection of a client and its backend, from the first byte to the end."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from .connector_py import Connector
from .endpoint_py import GLANCE, PeerSocket, Pump
from .interface import IDLE_TIMEOUT, NO_BACKEND, UNANSWERED, Ended
from .peers import Silence, TakenLog
from .queues_py import peer

if TYPE_CHECKING:
    from .port_py import Port
    from .relay_py import RelayEngine

__all__ = ["Connection"]


class Connection:
    """
    Connection of a client to its backend.

    Attributes:
        search: Connector that found its backend, or is looking for one.

        over: Whether both ends are closed and nothing is left to do.
    """

    def __init__(self, engine: RelayEngine, port: Port, client: socket.socket) -> None:
        self.port = port
        self.over = False
        self._engine = engine
        self._loop = engine.loop
        self._client = PeerSocket(client, engine.lookout, self.settle)
        self._flows: tuple[Pump, ...] = ()
        self._unsent: Pump | None = None
        self._up = self._down = 0
        self._gone = False  # the backend broke; the client still takes what it had sent
        self._taken = -1
        self._taken_log = TakenLog()
        # A socket does not know any more when both ends are done.
        self._peer = peer(client) if engine.journal is not None else ""
        self._began = self._active = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.search = Connector(engine, self)

    @property
    def connected(self) -> bool:
        """Whether its backend has answered."""
        return bool(self._flows)

    @property
    def buffers(self) -> int:
        """Number of directions with bytes that their sink refused."""
        return sum(flow.held > 0 for flow in self._flows)

    def begin(self, server: PeerSocket) -> None:
        """Start the flow of bytes, as the backend is connected."""
        up, self._unsent = self._unsent, None
        if up is None:
            up = Pump(self._client, server, self._count_up)
        up.sink = server
        self._flows = (up, Pump(server, self._client, self._count_down))
        header = self._engine.preface(self._client.sock)
        # A new connection's buffer takes a header whole, or nothing works at all.
        taken = server.send(memoryview(header)) if header else 0
        if taken != len(header) and not server.failed:
            server.fail()
        self._active = self._loop.time()
        if self._engine.idle_timeout:
            self._silence = Silence(self._engine.idle_timeout, self._loop.time)
            self._await_idleness(self._engine.doubt)
        self.settle()

    def _count_up(self, count: int) -> None:
        assert self.search.backend is not None
        self._up += count
        self.port.bytes_up += count
        self.search.backend.bytes_up += count
        self._active = self._loop.time()

    def _count_down(self, count: int) -> None:
        assert self.search.backend is not None
        self._down += count
        self.port.bytes_down += count
        self.search.backend.bytes_down += count
        self._active = self._loop.time()

    def _turn(self, flow: Pump) -> None:
        """Move what can be moved; then see what has ended."""
        if not flow.move(self._engine.scratch):
            # Asked anew: uvloop reports an error once, and may have done so with the
            # bytes before it.
            flow.source.reading(False, self._turn)
        self.settle()

    def settle(self) -> None:
        """Pass on what has ended or broken, and wait for what is wanted next."""
        if self._gone:
            return self._see_off()
        for flow in self._flows:
            if flow.done and not flow.finished and not flow.source.lost:
                if flow is self._flows[1] and self._started_over():
                    return
                self._finish(flow)
        server = self.search.server
        if self._client.failed or (server is not None and server.failed):
            self._abort()
        elif self._flows and self._flows[0].finished and self._flows[1].finished:
            self._end(resetting=False)
        else:
            self._wait()

    def _finish(self, flow: Pump) -> None:
        up, down = self._flows
        flow.finished = True
        if not (up.finished and down.finished):  # else `close` reports it, too
            flow.sink.finish()

    def _wait(self) -> None:
        for flow in self._flows:
            flow.source.reading(flow.wants, self._turn, flow)
            flow.sink.writing(flow.held > 0, self._turn, flow)

    def _abort(self) -> None:
        """Break both sides, as one broke; what was sent before goes first."""
        for flow in self._flows:
            if flow.source.failed:
                flow.rescue(self._engine.scratch)
        if self._client.failed:
            return self._break("reset_by_client", *self._flows[:1])
        if self._flows[1].finished or not self._started_over():
            self._look_for_break()
            if self._owed and not self._client.failed:
                self._part()
            else:
                self._break("reset_by_backend", self._flows[1])

    @property
    def _owed(self) -> bool:
        """Whether the client has not taken all that was received of its backend."""
        return self._flows[1].held > 0 or bool(self._client.unsent)

    def _part(self) -> None:
        """
        Go on without the backend.

        The client gets the rest at its own pace, and then the end or the reset. Bytes
        it still sends are read and thrown away: closing with them unread would be a
        reset at once, and would discard what the system holds.
        """
        self.port.errors["reset_by_backend"] += 1
        self._gone = True
        self._flows[0].forsake()
        self._see_off()

    def _see_off(self) -> None:
        """End as soon as the client has received everything, or stalls for too long."""
        up, down = self._flows
        whole = down.done and not down.source.lost
        if whole:
            down.sink.finish()
        left = self._client.unsent
        stalled = self._stalls(self._down - (left or 0))
        if whole and (up.ended or left is None):
            self._end(resetting=False)
        elif self._client.failed or stalled or (down.done and not left):
            self._end(resetting=True)
        else:
            self._wait()
            self._forget_timer()
            # No event tells that the last byte was sent.
            self._timer = self._loop.call_later(GLANCE, self._see_off)

    def _stalls(self, taken: int) -> bool:
        """Return whether the client, sent *taken* bytes by now, takes nothing more."""
        allowed, now = self._engine.idle_timeout, self._loop.time()
        if taken != self._taken:
            self._taken, self._active = taken, now
        quiet = now - self._active
        if not allowed or quiet < allowed:
            return False
        stalls = self._taken_log.stalls(self._client.sock, quiet, allowed)
        if stalls is None:
            self._active = now
        return bool(stalls)

    def _break(self, cause: str, flow: Pump | None = None) -> None:
        """End both sides; a stream that came to its end before the break keeps it."""
        if flow is not None and flow.done and not flow.source.lost:
            flow.sink.finish()  # it may have been left to the close
            if flow.sink.unsent != 0:
                # All of it shall arrive, and a reset would discard what has not yet.
                self.port.errors[cause] += 1
                return self._end(resetting=False)
        self.cut(cause)

    def _started_over(self) -> bool:
        """
        Pass the client to another backend, as this one left; return whether it could.

        That is possible only while nothing has passed either way: a killed backend ends
        the connections it has just taken, and their clients do not notice.
        """
        up, down = self._flows
        if not down.moved and not up.ended:
            self._suspect()
        if not self._untouched or not self.search.has_another():
            return False
        self._leave()
        self.search.go_on()
        return True

    @property
    def _untouched(self) -> bool:
        # Bytes read of the client and not sent are kept for the next backend.
        up, down = self._flows
        return not (self._up or up.done or down.moved)

    def _leave(self) -> None:
        for flow in self._flows:
            flow.source.reading(False, self._turn)
            flow.sink.writing(False, self._turn)
        self._forget_timer()
        self._unsent, _ = self._flows
        self._flows = ()

    def recall(self) -> bool:
        """Go to another backend if nothing has passed yet, as this one is gone."""
        if not self.connected:
            self.search.go_on()
            return True
        if self._untouched:
            self._leave()
            self.search.begin_anew()
            return True
        return False

    def _suspect(self) -> None:
        """Suspect the backend, which left without a word and without being asked to."""
        if self.search.backend is not None:
            self.search.backend.suspicions += 1
            self.search.backend.broken += 1
            self._engine.suspect(self.search.backend)

    def _look_for_break(self) -> None:
        """Count a reset by the backend, unless its stream or the client's had ended."""
        up, down = self._flows
        whole = down.ended and not down.source.lost
        if down.moved and not whole and not up.ended and self.search.backend:
            self.search.backend.broken += 1

    def _await_idleness(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._idle)

    def _idle(self) -> None:
        """Reset after the idle time-out, unless a peer has sent or taken a byte."""
        left = self._active + self._engine.doubt - self._loop.time()
        if left <= 0 and any(flow.source.has_pending_events for flow in self._flows):
            # A byte has come, and it is this process that is late.
            left = self._engine.idle_timeout
        if left <= 0:
            sides = [flow.source.sock for flow in self._flows]
            left = self._silence.left(self._active, sides)
        if left > 0:
            self._await_idleness(left)
        else:
            self._engine.news.say(IDLE_TIMEOUT, self.port.number)
            self.cut("idle_timeout")

    def turn_away(self, cause: str, problem: int) -> None:
        """Reset the client, for which there is no backend; say what the host lacked."""
        kind = NO_BACKEND if cause == "no_backend" else UNANSWERED
        self._engine.news.say(kind, self.port.number, problem)
        self.cut(cause)

    def cut(self, cause: str = "cut") -> None:
        """Reset both ends."""
        if not self.over:
            if not self._gone:  # which is counted already
                self.port.errors[cause] += 1
            self._end(resetting=True)

    def _end(self, *, resetting: bool) -> None:
        self.over = True
        self._forget_timer()
        if self._engine.journal is not None:
            self._engine.journal.enter(self._entry(resetting))
        self._client.close(resetting=resetting)
        self.port.duration.add(self._loop.time() - self._began)
        self._engine.ended(self)
        self.search.stop(resetting=resetting)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _entry(self, broken: bool) -> Ended:
        backend = self.search.backend
        return Ended(
            port=self.port.number,
            backend=backend.number if backend is not None else 0,
            client=self._peer,
            broken=broken,
            bytes_up=self._up,
            bytes_down=self._down,
            seconds=self._loop.time() - self._began,
        )
