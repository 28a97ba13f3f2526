"""One client and the backend it was given: from the pick to the end."""

from __future__ import annotations

import errno
import math
import socket
from typing import TYPE_CHECKING

from .interface import NO_BACKEND
from .port_py import SHORTAGE, prepare
from .pump_py import AGAIN, Direction, Side

if TYPE_CHECKING:
    from .engine_py import Engine
    from .port_py import Port
    from .table_py import Backend

__all__ = ["Pair"]

# Everything else is `refused`.
CAUSES = {
    errno.ETIMEDOUT: "timed_out",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "no_address",
}
# It answered, and then thought better of it.
ANSWERED = {0, errno.ECONNRESET, errno.EPIPE}


class Pair:
    """
    A client, and the backend it talks to.

    Until a backend answers, one after the other is tried, which the client does
    not notice: none of its bytes has been sent on yet.

    Attributes:
        over: Both ends are closed; nothing is to be done any more.

        queued: It waits for its next turn.
    """

    def __init__(self, engine: Engine, port: Port, client: socket.socket) -> None:
        self.port = port
        self.over = self.queued = False
        self._engine = engine
        self._client = Side(client)
        self._server: Side | None = None
        self._backend: Backend | None = None
        self._tried: list[Backend] = []
        self._flows: tuple[Direction, Direction] | None = None
        self._began = engine.now
        self._attempted = engine.now
        self._active = engine.now

    def open(self) -> None:
        """Watch the client, and look for a backend."""
        self._engine.watch(self._client, self)
        self._connect()

    @property
    def connected(self) -> bool:
        """Its backend has answered."""
        return self._flows is not None

    @property
    def buffers(self) -> int:
        """Directions with bytes that their sink refused."""
        return sum(flow.held > 0 for flow in self._flows or ())

    def elsewhere(self) -> None:
        """The backend that is being connected to is gone: try another."""
        self._let_go()
        self._connect()

    def _connect(self) -> None:
        """Try the next backend, or turn the client away."""
        while (backend := self._next()) is not None:
            problem = self._dial(backend)
            if problem in (0, errno.EINPROGRESS):
                late = self._attempted + self._engine.connect_timeout
                spent = self._began + self._engine.connect_budget
                return self._engine.remind(self, min(late, spent))
            if problem in SHORTAGE:
                self._engine.rest(self.port, problem)
                return self.cut("accept_failed")
            self._failed(problem)
        if not self._tried:
            self._engine.say(NO_BACKEND, self.port.number)
        self.cut("unanswered" if self._tried else "no_backend")

    def _next(self) -> Backend | None:
        if self._engine.now >= self._began + self._engine.connect_budget:
            return None
        backend = self.port.table.pick(self._tried)
        if backend is not None:
            self.port.retries += bool(self._tried)
            self._tried.append(backend)
            self._backend = backend
            backend.total += 1
            backend.pairs.add(self)
        return backend

    def _dial(self, backend: Backend) -> int:
        """Begin to connect; 0 or an errno."""
        self._attempted = self._engine.now
        try:
            sock = socket.socket(backend.family, socket.SOCK_STREAM)
        except OSError as exc:
            return exc.errno or errno.EIO
        sock.setblocking(False)
        prepare(sock)
        self._server = Side(sock)
        self._engine.watch(self._server, self)
        return sock.connect_ex(backend.address)

    def _failed(self, problem: int) -> None:
        """This backend does not answer."""
        self.port.errors[CAUSES.get(problem, "refused")] += 1
        if self._backend is not None and problem != errno.EADDRNOTAVAIL:
            self._backend.failures += 1
            self._engine.suspect(self._backend, problem)
        self._let_go()

    def _let_go(self) -> None:
        """Close this attempt's socket and give its backend back."""
        backend, server = self._backend, self._server
        self._backend = self._server = None
        if server is not None:
            self._engine.forget(server, resetting=True)
        if backend is not None:
            self._engine.release(backend, self)

    def noted(self, side: Side) -> None:
        """Something became possible on *side*."""
        if self._flows is not None:
            self.turn()
        elif side is self._client:
            if side.failed:
                self._abort()
        elif side.writable or side.ending:
            self._answered(side.sock)

    def _answered(self, sock: socket.socket) -> None:
        problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem in ANSWERED:
            self._begin(broken=problem != 0)
        else:
            self._failed(problem)
            self._connect()

    def _begin(self, broken: bool) -> None:
        """The backend is there: bytes may flow."""
        server = self._server
        assert server is not None
        self.port.connect_latency.add(self._engine.now - self._attempted)
        self._flows = (
            Direction(self._client, server, self._count_up),
            Direction(server, self._client, self._count_down),
        )
        self._touch()
        self._await_idleness()
        header = self._engine.preface(self._client.sock)
        # A new connection's buffer takes a header whole, or nothing works at all.
        if broken or (header and server.send(memoryview(header)) != len(header)):
            server.fail()
        self.turn()

    def _count_up(self, count: int) -> None:
        assert self._backend is not None
        self.port.bytes_up += count
        self._backend.bytes_up += count
        self._touch()

    def _count_down(self, count: int) -> None:
        assert self._backend is not None
        self.port.bytes_down += count
        self._backend.bytes_down += count
        self._touch()

    def _touch(self) -> None:
        self._active = self._engine.now

    def turn(self) -> None:
        """Move what can be moved, for as long as is fair; then see what has ended."""
        flows = self._flows
        if self.over or flows is None:
            return
        again = [flow.pump(self._engine.scratch) for flow in flows]
        broken = [flow for flow in flows if flow.source.failed]
        # What a failing side still sent is passed on before the other is reset.
        again += [self._rescue(flow) for flow in broken]
        if AGAIN in again:
            self._engine.again(self)
        elif broken:
            self._abort()
        else:
            self._pass_ends_on(flows)

    def _rescue(self, flow: Direction) -> int:
        flow.sink.writable = not flow.sink.failed
        return flow.pump(self._engine.scratch)

    def _pass_ends_on(self, flows: tuple[Direction, Direction]) -> None:
        up, down = flows
        if up.done and down.done:
            return self._end(resetting=False)
        for flow in flows:
            if flow.done and not flow.finished:
                flow.finished = True
                flow.sink.finish()
                if flow is down and not down.moved and not self._client.ending:
                    self._suspect()
        if self._client.failed or (self._server and self._server.failed):
            self.turn()

    def _suspect(self) -> None:
        """The backend left without a word, and nobody had asked it to."""
        if self._backend is not None:
            self._backend.suspicions += 1
            self._engine.suspect(self._backend)

    def _abort(self) -> None:
        """A side broke, and so must the other."""
        if self._client.failed:
            return self.cut("reset_by_client")
        if self._flows and not self._flows[1].moved and not self._client.ending:
            self._suspect()
        self.cut("reset_by_backend")

    def expire(self) -> None:
        """What was due is late: a connect, or the next byte."""
        if self._flows is None:
            self._failed(errno.ETIMEDOUT)
            self._connect()
            return
        if self._active + self._engine.idle_timeout <= self._engine.now:
            self.cut("idle_timeout")
        else:
            self._await_idleness()

    def _await_idleness(self) -> None:
        timeout = self._engine.idle_timeout
        self._engine.remind(self, self._active + timeout if timeout else math.inf)

    def cut(self, cause: str = "cut") -> None:
        """Reset both ends."""
        if not self.over:
            self.port.errors[cause] += 1
            self._end(resetting=True)

    def _end(self, *, resetting: bool) -> None:
        self.over = True
        self._engine.forget(self._client, resetting=resetting)
        if self._server is not None:
            self._engine.forget(self._server, resetting=resetting)
        self.port.duration.add(self._engine.now - self._began)
        self._engine.ended(self)
        backend, self._backend = self._backend, None
        if backend is not None:
            self._engine.release(backend, self)
