"""A connection of the twin: the search for a backend, the flow of bytes, the end."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from . import interface
from .endpoint_py import GLANCE, SCRATCH, Endpoint, ResetPoller
from .peers import LOOKS, Silence, TakenLog, is_self_connected
from .port_py import Backend, Port, prepare
from .proxy_protocol import preface
from .queues_py import EventQueue, Journal, peer

__all__ = ["Connection", "RelayEngine"]

# Any other errno of an attempt is `refused`.
CAUSES = {errno.ETIMEDOUT: "timed_out"} | dict.fromkeys(
    (errno.ENETUNREACH, errno.EHOSTUNREACH), "unreachable"
)
# The backend accepted the connection, and then dropped it.
DROPPED = {errno.ECONNRESET, errno.EPIPE}
# This host lacks descriptors or memory.
SHORTAGE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
LACKS = SHORTAGE | {errno.EADDRNOTAVAIL}  # … or local ports
SCARCITY = SHORTAGE | {errno.EAGAIN}  # … or there is no room in a Unix socket's backlog
LATER = 0.05  # seconds, while there is one of them
PARCHED = 0.01  # seconds: to look for a free port looks at all of them
EARLY = 0.001  # seconds by which the timers of some loops ring before their time
REFUSED_LATER = 0.2  # seconds, when every backend refused


class RelayEngine:
    """State that the connections of a relay share."""

    resets: ResetPoller  # once it is started

    def __init__(self, options: interface.RelayOptions) -> None:
        self.options = options
        self.events = EventQueue()
        self.journal = Journal(options.journal, self.events.ring)
        self.scratch = bytearray(SCRATCH)  # all streams are read into it in turn
        self.backends: dict[int, Backend] = {}
        self.pairs: set[Connection] = set()
        self.out: set[Backend | Port] = set()  # of service
        self.leaving: set[Backend | Port] = set()  # … with the end to be reported
        # When to look for a local port again, after all were taken.
        self.parched: WeakKeyDictionary[Backend, float] = WeakKeyDictionary()

    def release(self, member: Backend | Port, pair: Connection | None = None) -> None:
        """Count *pair* for *member* no longer; report, once, that it was the last."""
        member.pairs.discard(pair)
        if member in self.leaving and not member.pairs:
            self.leaving.discard(member)
            self.events.say(member.LEFT, member.number)

    def forget(self, pair: Connection) -> None:
        """Forget a connection that is over."""
        self.pairs.discard(pair)
        self.release(pair.port, pair)

    def suspect(self, backend: Backend, problem: int = 0) -> None:
        """Report that *backend* should be probed, unless it was removed."""
        if backend.number in self.backends:
            self.events.say(interface.SUSPECT, backend.number, problem)


class Connection:
    """Connection of a client; its endpoints hold all that was read and not written."""

    def __init__(self, engine: RelayEngine, port: Port, client: socket.socket) -> None:
        self.port = port
        self.connected = self._over = False
        self._engine, self._options = engine, engine.options
        self._loop = engine.resets.loop
        self._client = Endpoint(client, engine.resets, self._turn)
        self._server: Endpoint | None = None
        self._backend: Backend | None = None
        self._search = self._attempts()
        self._tried: list[Backend] = []
        self._tried_before = False
        self._lacks: tuple[int, ...] = ()  # errnos, of this host
        self._held_until = 0.0
        self._parted: TakenLog | None = None  # what the client takes, once alone
        # A socket does not know any more when both ends are done.
        self._peer = peer(client) if self._options.journal else ""
        self._began = self._sought = self._active = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def buffers(self) -> int:
        """Number of directions with bytes that their sink refused."""
        return sum(bool(end and end.pending) for end in (self._client, self._server))

    def _remind(self, call: Callable[[], object], seconds: float = 0.0) -> None:
        """Call after *seconds*, 0 for never; forget what was to be called before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, call) if seconds else None

    def seek(self) -> None:
        """Go on with the search, as an attempt is over or the table has changed."""
        seconds = next(self._search, 0.0)
        self._remind(self.seek, seconds)
        if not seconds and self._server:
            self._begin(self._server)
        elif not seconds:
            self._turn_away()

    def _attempts(self) -> Iterator[float]:
        """Try one backend after the other; yield the seconds to wait for an event."""
        while True:
            self._release()
            backend = self._next()
            if backend is None:
                if not (seconds := self._respite()):
                    return
                yield seconds
                if self in self.port.held:
                    self._sought = self._loop.time()
                continue
            problem = self._dial(backend)
            if problem in SCARCITY and self._patience > EARLY:
                if problem in SHORTAGE:
                    self._miss(problem)
                self._release()
                yield LATER
                continue
            if problem not in LACKS:
                backend.counts["total"] += 1
            if self._tried and errno.EADDRNOTAVAIL not in self._lacks:
                self.port.counts["retries"] += 1
            self._tried.append(backend)
            if problem in (0, errno.EINPROGRESS):
                yield max(EARLY, min(self._patience, self._options.connect_timeout))
                if self._server is None:  # the connection was recalled
                    continue
                problem = self._outcome(self._server)
                if not problem:
                    return
            self._blame(backend, problem)

    @property
    def _patience(self) -> float:
        """Seconds left for all attempts together."""
        return self._sought + self._options.connect_budget - self._loop.time()

    def _next(self) -> Backend | None:
        if self._tried and self._patience <= EARLY:
            return None
        return self.port.table.pick(self._tried)

    def _respite(self) -> float:
        """Return the seconds to wait for a backend or a local port; 0 to give up."""
        now, patient = self._loop.time(), self._patience > EARLY
        self._held_until = self._held_until or now + self._options.backend_wait
        # One that refuses does not serve: the table may learn of it a moment later.
        may_wait = patient or not self.port.table
        if may_wait and now < self._held_until and self.port not in self._engine.out:
            self.port.held.add(self)
            seconds = min(self._held_until - now, REFUSED_LATER)
        elif patient and errno.EADDRNOTAVAIL in self._lacks:
            seconds = LATER
        else:
            return 0.0
        self._tried_before = self._tried_before or bool(self._tried)
        self._tried.clear()
        return seconds

    def _dial(self, backend: Backend) -> int:
        """Begin to connect; return 0 or an errno."""
        self._backend = backend
        backend.pairs.add(self)
        now = self._attempted = self._loop.time()
        if self._engine.parched.get(backend, 0.0) > now:
            return errno.EADDRNOTAVAIL
        try:
            sock = socket.socket(backend.family, socket.SOCK_STREAM)
        except OSError as exc:
            return exc.errno or errno.EIO
        sock.setblocking(False)
        prepare(sock)
        self._server = Endpoint(sock, self._engine.resets, self._turn)
        problem = sock.connect_ex(backend.address)
        if problem == errno.EADDRNOTAVAIL:
            self._engine.parched[backend] = now + PARCHED
        self._server.wait(for_room=True)
        return problem

    def _outcome(self, server: Endpoint) -> int:
        """Return the errno of an attempt that is over or out of time; 0 for success."""
        # Where it is over after all, it is this process that is late.
        if not server.has_pending_events:
            return errno.ETIMEDOUT
        problem = server.error()
        # The kernel of a dying process accepts connections, and then drops them.
        if problem in DROPPED and server.has_bytes:
            server.fail(problem)
        elif problem:
            return problem
        elif is_self_connected(server.sock):
            return errno.ECONNREFUSED
        self.port.connect_latency.add(self._loop.time() - self._attempted)
        server.wait()
        return 0

    def _blame(self, backend: Backend, problem: int) -> None:
        """Count that *backend* does not answer, unless this host could not ask it."""
        if problem in LACKS:
            return self._miss(problem)
        self.port.errors[CAUSES.get(problem, "refused")] += 1
        backend.counts["failures"] += 1
        backend.counts["broken"] += problem in DROPPED
        self._engine.suspect(backend, problem)

    def _miss(self, problem: int) -> None:
        """Report, once, that this host lacks something."""
        if problem not in self._lacks:
            self._lacks += (problem,)
            short = problem in SHORTAGE
            self.port.errors["accept_failed" if short else "no_address"] += 1
            kind = interface.LISTENER_FAILED if short else interface.NO_ADDRESS
            self._engine.events.say(kind, self.port.number, problem)

    def _release(self, *, resetting: bool = True) -> None:
        """Close the backend's socket, and give the backend back; wait for none."""
        self.port.held.discard(self)
        backend, server = self._backend, self._server
        self._backend = self._server = None
        if server is not None:
            server.close(resetting=resetting)
        if backend is not None:
            self._engine.release(backend, self)

    def _turn_away(self) -> None:
        """Reset the client, for which there is no backend."""
        problem = self._lacks[-1] if self._lacks else 0
        tried = self._tried or self._tried_before or problem
        kind = interface.UNANSWERED if tried else interface.NO_BACKEND
        self._engine.events.say(kind, self.port.number, problem)
        self.cut("unanswered" if tried else "no_backend")

    def recall(self, *, anew: bool = True) -> bool:
        """Go to another backend, as this one is gone, if nothing has passed yet."""
        client, server = self._client, self._server
        if server and self.connected:
            # Bytes read of the client and not sent are kept for the next backend.
            if server.moved or client.sent or client.done:
                return False
            self.connected = False
            client.wait()
            self._search = self._attempts()
            if anew:
                self._sought = self._loop.time()
        self._release()
        self.seek()
        return True

    def _start_over(self, server: Endpoint) -> bool:
        """Go to another backend, as this one left; return whether that was possible."""
        # What is killed ends connections it has just taken: clients do not notice.
        if self._backend and not (server.moved or self._client.ended):
            self._backend.counts["suspicions"] += 1
            self._backend.counts["broken"] += 1
            self._engine.suspect(self._backend)
        return self._next() is not None and self.recall(anew=False)

    def _begin(self, server: Endpoint) -> None:
        """Start the flow of bytes, as the backend is connected."""
        self.connected = True
        if self._options.proxy_protocol:
            header = preface(self._client.sock)
            # A new connection's buffer takes it whole, or nothing works at all.
            if server.send(memoryview(header)) != len(header) and not server.failed:
                server.fail()
        self._active = self._loop.time()
        if idle := self._options.idle_timeout:
            self._silence = Silence(idle, self._loop.time)
            self._remind(self._look_for_silence, idle / LOOKS)
        self._settle()

    def _turn(self, end: Endpoint, room: bool) -> None:
        """Move what can be moved, as *end* has bytes, or *room*; see what has ended."""
        client, server = self._client, self._server
        if server is None or not self.connected:
            return self.seek() if end is server else self._settle()
        upwards = (end is client) is not room
        source, sink = (client, server) if upwards else (server, client)
        held = bool(source.pending)
        if not self._move(source, sink):
            # Asked anew: uvloop reports an error once, and may have done so with the
            # bytes before it.
            source.wait(for_room=bool(sink.pending))
        elif not (held or source.pending or source.ended or sink.failed):
            return
        self._settle()

    def _move(self, source: Endpoint, sink: Endpoint) -> bool:
        """Move bytes and count them; return whether that was all."""
        before, upwards = source.sent, source is self._client
        gone = upwards and self._parted
        moved = source.move(None if gone else sink, self._engine.scratch)
        if taken := source.sent - before:
            for member in (self.port, self._backend):
                if member:
                    member.counts["bytes_up" if upwards else "bytes_down"] += taken
            self._active = self._loop.time()
        return moved

    def _settle(self) -> None:
        """Pass on what has ended or broken, and wait for what is wanted next."""
        client, server = self._client, self._server
        if server is None or not self.connected:
            return self.cut("reset_by_client") if client.failed else None
        if self._parted:
            return self._see_off(client, server)
        for source, sink in ((client, server), (server, client)):
            while source.failed and not self._move(source, sink):
                pass  # what was sent before the break goes first
            if source.complete and not source.finished:
                if source is server and self._start_over(server):
                    return
                source.pass_end(sink)
        if client.failed:
            self._break(client, server)
        elif server.failed:
            if server.finished or not self._start_over(server):
                self._part(client, server)
        elif client.finished and server.finished:
            self._end(resetting=False)
        else:
            self._wait(client, server)

    def _wait(self, client: Endpoint, server: Endpoint) -> None:
        client.wait(for_bytes=client.has_room, for_room=bool(server.pending))
        server.wait(for_bytes=server.has_room, for_room=bool(client.pending))

    def _break(self, client: Endpoint, server: Endpoint) -> None:
        """End both sides, as the client broke; a stream that it had ended stays one."""
        self.port.errors["reset_by_client"] += 1
        if client.complete:
            server.finish()  # it may have been left to the close
        # All of it shall arrive, and a reset would discard what has not yet.
        self._end(resetting=not (client.complete and server.unsent != 0))

    def _part(self, client: Endpoint, server: Endpoint) -> None:
        """Go on without the backend, which broke."""
        whole = server.ended and not server.lost
        if self._backend and server.moved and not (whole or client.ended):
            self._backend.counts["broken"] += 1
        self.port.errors["reset_by_backend"] += 1
        self._parted, self._sent = TakenLog(), -1
        self._see_off(client, server)

    def _see_off(self, client: Endpoint, server: Endpoint) -> None:
        """End as soon as the client has all that its broken backend sent, or stalls."""
        # What it sends is thrown away, as closing with that unread would be a reset at
        # once, and would discard what the system holds.
        self._move(client, server)
        if server.complete:
            client.finish()
        left = client.unsent
        stalled = self._stalls(server.sent - (left or 0))
        if server.complete and (client.ended or left is None):
            self._end(resetting=False)
        elif client.failed or stalled or (server.done and not left):
            self._end(resetting=True)
        else:
            self._wait(client, server)
            self._remind(self._settle, GLANCE)  # no event tells of the last byte

    def _stalls(self, sent: int) -> bool:
        """Return whether the client, sent so many bytes by now, takes nothing more."""
        allowed, now = self._options.idle_timeout, self._loop.time()
        if sent != self._sent:
            self._sent, self._active = sent, now
        quiet = now - self._active
        if not allowed or quiet < allowed or not self._parted:
            return False
        stalls = self._parted.stalls(self._client.sock, quiet, allowed)
        if stalls is None:
            self._active = now
        return bool(stalls)

    def _look_for_silence(self) -> None:
        """Reset after the idle time-out, unless a peer has sent or taken a byte."""
        allowed = self._options.idle_timeout
        ends = [end for end in (self._client, self._server) if end]
        left = self._active + allowed / LOOKS - self._loop.time()
        if left <= 0 and any(end.has_pending_events for end in ends):
            left = allowed  # it is this process that is late
        if left <= 0:
            left = self._silence.left(self._active, [end.sock for end in ends])
        if left > 0:
            self._remind(self._look_for_silence, left)
        else:
            self._engine.events.say(interface.IDLE_TIMEOUT, self.port.number)
            self.cut("idle_timeout")

    def cut(self, cause: str = "cut") -> None:
        """Reset both ends."""
        if not self._over:
            self.port.errors[cause] += not self._parted  # which is counted already
            self._end(resetting=True)

    def _end(self, *, resetting: bool) -> None:
        self._over = True
        self._remind(self.seek)
        seconds = self._loop.time() - self._began
        self.port.duration.add(seconds)
        if self._options.journal:
            number = self._backend.number if self._backend else 0
            moved = self._client.sent, self._server.sent if self._server else 0
            entry = self.port.number, number, self._peer, resetting, *moved, seconds
            self._engine.journal.enter(interface.Ended(*entry))
        self._client.close(resetting=resetting)
        self._engine.forget(self)
        self._release(resetting=resetting)
        self._search = iter(())
