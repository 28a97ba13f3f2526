"""The search for a backend that answers, unnoticed by the client."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from .endpoint_py import PeerSocket
from .interface import LISTENER_FAILED, NO_ADDRESS
from .peers import is_self_connected
from .port_py import SHORTAGE, prepare

if TYPE_CHECKING:
    from .connection_py import Connection
    from .port_py import Backend
    from .relay_py import RelayEngine

__all__ = ["Connector"]

# Everything else is `refused`.
CAUSES = {
    errno.ETIMEDOUT: "timed_out",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
}
# It accepted the connection, and then dropped it.
DROPPED = {errno.ECONNRESET, errno.EPIPE}
# Of descriptors or memory here, or of room in the backlog of a Unix socket.
SCARCITY = SHORTAGE | {errno.EAGAIN}
LATER = 0.05  # seconds, while there is one of them
PARCHED = 0.01  # seconds: to look for a free port looks at all of them
EARLY = 0.001  # seconds by which the timers of some loops ring before their time
REFUSED_LATER = 0.2  # seconds, when every backend refused


class Connector:
    """
    Connector that tries each backend once, and again while a client may wait.

    Nothing is lost by it: no byte of the client has been read yet.

    Attributes:
        backend: Backend that is being tried, or has been found.

        server: Socket that is connected to it.
    """

    def __init__(self, engine: RelayEngine, pair: Connection) -> None:
        self.backend: Backend | None = None
        self.server: PeerSocket | None = None
        self._engine = engine
        self._port = pair.port
        self._pair = pair
        self._tried: list[Backend] = []
        self._tried_before = self._parched = self._short = False
        self._began = self._attempted = engine.loop.time()
        self._held_until: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def go_on(self) -> None:
        """Try the next backend, wait for one, or give the client up."""
        if self in self._port.held:
            self._began = self._engine.loop.time()
        self.stop()
        while self._patience() > EARLY or not self._tried:
            self.backend = self._port.table.pick(self._tried)
            if self.backend is None:
                break
            self._engine.assign(self.backend, self._pair)
            problem = self._dial(self.backend)
            if problem in SCARCITY and self._patience() > EARLY:
                return self._postpone(problem)
            if problem in SHORTAGE:
                return self._give_up(problem)
            self.backend.total += problem != errno.EADDRNOTAVAIL
            self._port.retries += bool(self._tried) and not self._parched
            self._tried.append(self.backend)
            if problem in (0, errno.EINPROGRESS):
                return self._remind(self._allowed(), self._come_due)
            self._count(problem)
            self.stop()
        if not (self._hold() or self._await_ports()):
            self._give_up(errno.EADDRNOTAVAIL if self._parched else 0)

    def _give_up(self, problem: int) -> None:
        """Turn the client away; *problem* is what this host lacked, if it did."""
        self.stop()
        tried = problem or self._tried or self._tried_before
        self._pair.turn_away("unanswered" if tried else "no_backend", problem)

    def has_another(self) -> bool:
        """
        Return whether there is time for another backend, and one that was not tried.
        """
        return self._patience() > EARLY and self._port.table.has_another(self._tried)

    def begin_anew(self) -> None:
        """Leave the backend, which is gone, and take as much time as at first."""
        self._began = self._engine.loop.time()
        self.go_on()

    def _hold(self) -> bool:
        """
        Wait while nothing serves, for a limited time, and not at a closed port.

        A backend that refuses does not serve: the table may learn of it a moment later.
        """
        given_up = self._port.table and self._patience() <= EARLY
        if given_up or not self._port.open:
            return False
        now = self._engine.loop.time()
        if self._held_until is None:
            self._held_until = now + self._engine.backend_wait
        if now >= self._held_until:
            return False
        self._port.held.add(self)
        self._tried_before = self._tried_before or bool(self._tried)
        self._tried.clear()
        self._remind(min(self._held_until - now, REFUSED_LATER), self.go_on)
        return True

    def _await_ports(self) -> bool:
        """Wait for local ports, which come back as connections end."""
        if not self._parched or self._patience() <= EARLY:
            return False
        self._tried_before = True
        self._tried.clear()
        self._remind(LATER, self.go_on)
        return True

    def _patience(self) -> float:
        """Return the seconds left for all attempts together."""
        return self._began + self._engine.connect_budget - self._engine.loop.time()

    def _allowed(self) -> float:
        return min(self._patience(), self._engine.connect_timeout)

    def _dial(self, backend: Backend) -> int:
        """Begin to connect; return 0 or an errno."""
        self._attempted = self._engine.loop.time()
        if backend.parched_until > self._attempted:
            return errno.EADDRNOTAVAIL
        try:
            sock = socket.socket(backend.family, socket.SOCK_STREAM)
        except OSError as exc:
            return exc.errno or errno.EIO
        sock.setblocking(False)
        prepare(sock)
        self.server = PeerSocket(sock, self._engine.lookout, self._pair.settle)
        problem = sock.connect_ex(backend.address)
        if problem == errno.EADDRNOTAVAIL:
            backend.parched_until = self._attempted + PARCHED
        self.server.writing(True, self._answered)
        return problem

    def _postpone(self, problem: int) -> None:
        """Retry later: this host lacks something, and the backend is not to blame."""
        if problem in SHORTAGE and not self._short:
            self._short = True
            self._report("accept_failed", LISTENER_FAILED, problem)
        self.stop()
        self._remind(LATER, self.go_on)

    def _answered(self) -> None:
        assert self.server is not None
        problem = self.server.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # The kernel of a dying process accepts connections, and then drops them.
        if problem and not (problem in DROPPED and _has_spoken(self.server.sock)):
            return self._failed(problem)
        if not problem and is_self_connected(self.server.sock):
            return self._failed(errno.ECONNREFUSED)
        self._forget_timer()
        self._port.connect_latency.add(self._engine.loop.time() - self._attempted)
        self.server.writing(False, self._answered)
        if problem:
            self.server.fail(problem)
        self._pair.begin(self.server)

    def _come_due(self) -> None:
        """Give the attempt up, unless it is this process that is late."""
        assert self.server is not None
        if self.server.has_pending_events:
            self._answered()
        else:
            self._failed(errno.ETIMEDOUT)

    def _failed(self, problem: int) -> None:
        """Note that this backend does not answer, and go on."""
        self._count(problem)
        self.go_on()

    def _report(self, cause: str, kind: int, problem: int) -> None:
        self._port.errors[cause] += 1
        self._engine.news.say(kind, self._port.number, problem)

    def _count(self, problem: int) -> None:
        if problem == errno.EADDRNOTAVAIL:
            if not self._parched:
                self._parched = True
                self._report("no_address", NO_ADDRESS, problem)
            return
        self._port.errors[CAUSES.get(problem, "refused")] += 1
        if self.backend is not None:
            self.backend.failures += 1
            self.backend.broken += problem in DROPPED
            self._engine.suspect(self.backend, problem)

    def stop(self, *, resetting: bool = True) -> None:
        """Close the backend's socket and give the backend back; wait for none."""
        self._forget_timer()
        self._port.held.discard(self)
        backend, server = self.backend, self.server
        self.backend = self.server = None
        if server is not None:
            server.close(resetting=resetting)
        if backend is not None:
            self._engine.release(backend, self._pair)

    def _remind(
        self, seconds: float, call: Callable[..., object], *args: object
    ) -> None:
        self._timer = self._engine.loop.call_later(seconds, call, *args)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _has_spoken(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
