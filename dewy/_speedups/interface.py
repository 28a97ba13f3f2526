"""Interface of both twins of the relay: their events and their counters."""

from __future__ import annotations

from typing import Final, NamedTuple

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
    "BackendStats",
    "Ended",
    "Errors",
    "Event",
    "PortStats",
    "WorkerStats",
    "shown",
]

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


def shown(address: tuple[object, ...] | str | bytes) -> str:
    """Return a peer's address as text; "" for a Unix socket's, which has none."""
    if not isinstance(address, tuple):
        return ""
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
