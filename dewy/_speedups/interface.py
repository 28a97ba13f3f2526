"""Interface of both twins of the relay: their events and their counters."""

from __future__ import annotations

from collections.abc import Sequence
from socket import socket
from typing import Final, NamedTuple, Protocol

__all__ = [
    "CONNECT_BOUNDS",
    "DRAINED",
    "DURATION_BOUNDS",
    "IDLE",
    "IDLE_TIMEOUT",
    "LISTENER_FAILED",
    "NO_ADDRESS",
    "NO_BACKEND",
    "SUSPECT",
    "UNANSWERED",
    "Address",
    "BackendStats",
    "Ended",
    "Errors",
    "Event",
    "PortStats",
    "RelayOptions",
    "RelayProtocol",
    "WorkerStats",
    "shown",
]

Address = tuple[str, int] | tuple[str, int, int, int] | str | bytes

# (kind, subject, detail): the subject is the number of a port or a backend.
Event = tuple[int, int, int]

# The last connection of a backend that `drain` or `serve` took out has ended.
# Comes exactly once for each time it was taken out.
DRAINED: Final = 1

# A backend should be probed; detail is the errno of a failed connect, or 0 when
# it closed without a byte while its client was still there. Not repeated for
# that backend before `step` has handed it over.
SUSPECT: Final = 2

# A port can't accept, or has no descriptor to connect a client with; detail is the
# errno. It goes on trying, every 100 ms. Not repeated for that port before `step` has
# handed it over, as those below.
LISTENER_FAILED: Final = 3

# The last connection of a port that `close_port` closed has ended. Comes once.
IDLE: Final = 4

# A client was reset because its port serves no backend.
NO_BACKEND: Final = 5

# A connection was reset by the idle time-out.
IDLE_TIMEOUT: Final = 6

# A client waits because this host has no local port left towards a backend.
NO_ADDRESS: Final = 7

# A client was reset because every backend that was tried for it failed; detail is the
# errno if it was this host that lacked something.
UNANSWERED: Final = 8

# Upper bounds of the histograms' buckets, in seconds; one more bucket holds the rest.
# A value equal to a bound belongs to that bound's bucket.
CONNECT_BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
DURATION_BOUNDS: Final = (
    *(0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0),
    *(1000.0, 2500.0, 5000.0, 7500.0, 10000.0),
)


class Errors(NamedTuple):
    """
    Errors on a port, by cause.

    The first three count attempts to connect, most of which a client never
    notices; the others count connections, each at most once.
    """

    refused: int  # any error of connect that has no cause of its own here
    timed_out: int
    unreachable: int  # ENETUNREACH, EHOSTUNREACH
    no_address: int  # EADDRNOTAVAIL: this host's fault; clients, each of them once
    unanswered: int  # reset, because every backend tried failed
    no_backend: int  # reset, because the port serves none
    reset_by_client: int
    reset_by_backend: int
    idle_timeout: int
    cut: int
    accept_failed: int  # for want of descriptors or memory; it was tried again


class PortStats(NamedTuple):
    """
    Counters of a port; bytes are counted when written, headers left out.

    The histograms hold counts per bucket, not cumulated, and the sum in seconds: of
    connects that succeeded, and of connections that ended (from accept).
    """

    accepted: int
    active: int
    bytes_up: int  # from clients to backends
    bytes_down: int
    retries: int  # attempts after a client's first
    panics: int  # times the last backend that was not ejected was lost
    errors: Errors
    connect_latency: tuple[int, ...]
    connect_seconds: float
    duration: tuple[int, ...]
    duration_seconds: float


class BackendStats(NamedTuple):
    """Counters of a backend."""

    total: int  # attempts that this host could make, failed ones included
    active: int
    bytes_up: int
    bytes_down: int
    failures: int  # failed connects, EADDRNOTAVAIL left out
    suspicions: int  # closed without a byte while its client was still there
    broken: int  # those, and resets before the end while its client was still there


class Ended(NamedTuple):
    """Connection that is over; `client` is as `shown` has it."""

    port: int
    backend: int  # 0: it had none
    client: str
    broken: bool  # by a reset, of either side or by the relay itself
    bytes_up: int
    bytes_down: int
    seconds: float  # since it was accepted


class WorkerStats(NamedTuple):
    """Present holdings of a thread of the relay, and connections accepted so far."""

    accepted: int
    handed_over: int  # accepted here, given to another worker
    active: int
    pipes_held: int  # by connections with bytes stuck in them
    pipes_pooled: int
    buffers_held: int


class RelayOptions(NamedTuple):
    """
    Options of a relay.

    Attributes:
        idle_timeout: Seconds after which a connection is reset if neither peer has sent
            or taken a byte, of what the kernel holds for it, too; 0 is never.

        max_connections: Clients held at once, over all ports; more wait in the
            kernel's backlog. 0 is no limit.

        balance: `round-robin` or `least-connections` (the better of two random
            choices); anything else is a ValueError. A retry takes the less busy of two
            not yet tried for that client and leaves the turn as it is; else, beside
            a dead backend, the only other one would always be the second choice.

        proxy_protocol: Send each backend a PROXY protocol v2 header first.

        connect_timeout: Seconds an attempt to connect to a backend may take.

        connect_budget: Seconds all attempts for one client may take.

        backend_wait: Seconds that a client is held, with nothing read from it, while
            nothing serves its port; it gets a backend as soon as there is one, with a
            connect budget of its own, and is reset otherwise. 0 resets at once.
            `close_port` ends the waiting.

        journal: Number of ended connections that are kept for `ended`; 0 costs nothing.
    """

    idle_timeout: float = 3600.0
    max_connections: int = 0
    balance: str = "round-robin"
    proxy_protocol: bool = False
    connect_timeout: float = 2.0
    connect_budget: float = 5.0
    backend_wait: float = 0.0
    journal: int = 0


class RelayProtocol(Protocol):
    """
    Relay of TCP and Unix-socket connections from ports to their backends.

    Ports and backends are known by the small numbers that `open_port` and
    `add_backend` return; a number that is not (or no longer) known is a KeyError.
    All methods belong to the thread of the loop that called `start`.

    Args:
        threads: Operating-system threads to run on; 0 runs inside `step`.
            The pure twin always runs on the loop.
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
        """Make a relay with these `RelayOptions`; a ValueError says which is wrong."""

    def start(self) -> None:
        """Start relaying. Ports and backends may be there already, or come later."""

    def close(self) -> None:
        """Stop accepting, reset what is open, join the threads. Idempotent."""

    def fileno(self) -> int:
        """Return the descriptor that is readable while `step` has something to do."""

    def step(self) -> list[Event]:
        """Do what is due (everything, on the loop) and return what happened."""

    def ended(self) -> tuple[list[Ended], int]:
        """
        Return the connections that have ended since the last call, and how many more
        did for which the journal had no room.
        """

    def open_port(
        self, listener: socket, *, own: bool = True, paused: bool = False
    ) -> int:
        """
        Accept from a duplicate of *listener*, which listens; return the port's number.

        Sets the options that accepted sockets inherit (TCP_NODELAY, keepalive).
        *own* says that no other process shares the socket, so that it may be made
        non-blocking; otherwise it is left as it is. If *paused*, no client is accepted
        before `resume`.
        """

    def pause(self, port: int) -> None:
        """Accept no more, from the return of this call on: new connections wait."""

    def resume(self, port: int) -> None:
        """Accept again."""

    def close_port(self, port: int) -> None:
        """
        Stop accepting for good and close the duplicate; connections live on.

        IDLE follows when none is left, at once if there is none. Idempotent.
        """

    def add_backend(
        self, port: int, family: int, address: Address, *, serving: bool = True
    ) -> int:
        """
        Make a backend known to *port* and return its number.

        *address* is numeric, as the socket module has it for *family*; anything
        else is a ValueError. If not *serving*, it waits for `serve`.
        """

    def serve(self, port: int, backends: Sequence[int]) -> None:
        """
        Have exactly *backends* serve *port*, in this order, from one instant on.

        Those that served and are left out are draining, as by `drain`; those that
        were draining and are named again are so no longer. A backend of another
        port is a KeyError, and nothing has changed then.
        """

    def drain(self, backend: int) -> int:
        """
        Give *backend* no new connections; return how many are open.

        DRAINED follows when none is left, at once if there is none. Draining what
        is draining only counts; what has never served counts as taken out, too.
        """

    def eject(self, backend: int) -> None:
        """
        Prefer the others to *backend* until it is restored.

        The only backend that serves a port is never ejected: nothing happens.
        When all are ejected, all serve (panic).
        """

    def restore(self, backend: int) -> None:
        """Take back `eject`."""

    def recall(self, backend: int) -> int:
        """
        Have the clients of *backend* for whom nothing has passed yet, connected or
        not, go to another one; return how many they were.

        A connection made later, to another holder of its address, is not affected. Take
        it out of the table first, as for `cut`.
        """

    def cut(self, backend: int) -> int:
        """
        Reset the connections of *backend*, which is gone; return how many.

        Clients still being connected to it go to another one. It stays in the
        table if it serves: drain or remove it first.
        """

    def cut_port(self, port: int) -> int:
        """Reset the connections of *port*; return how many."""

    def remove(self, backend: int) -> None:
        """
        Forget *backend*, at once out of the table; its connections end by themselves.

        No event names it from then on.
        """

    def port_stats(self, port: int) -> PortStats:
        """Return the counters of *port*. Closed ports are still known."""

    def backend_stats(self, backend: int) -> BackendStats:
        """Return the counters of *backend*."""

    def worker_stats(self) -> list[WorkerStats]:
        """Return the figures of each worker; one entry with threads=0."""


def shown(address: tuple[object, ...] | str | bytes) -> str:
    """Return a peer's address as text; "" for a Unix socket's, which has none."""
    if not isinstance(address, tuple):
        return ""
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
