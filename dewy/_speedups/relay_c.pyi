from collections.abc import Sequence
from socket import socket

from typing_extensions import disjoint_base

from .interface import BackendStats, Ended, Event, PortStats, WorkerStats

__all__ = ["Relay"]

@disjoint_base
class Relay:
    """
    Relay TCP and Unix-socket connections from ports to their backends.

    Ports and backends are known by the small numbers that `open_port` and
    `add_backend` return; a number that is not (or no longer) known is a KeyError.
    All methods belong to the thread of the loop that called `start`.

    Args:
        threads: Operating-system threads to run on; 0 runs inside `step`.
            The pure twin always runs on the loop.

        idle_timeout: Seconds after which a connection is reset if neither peer has sent
            or taken a byte, of what the kernel holds for it, too; 0 is never.

        max_connections: Clients held at once; more wait in the kernel's backlog.
            0 is no limit.

        balance: `round-robin` or `least-connections` (the better of two random
            choices); anything else is a ValueError. A retry takes the next backend
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
    ) -> None: ...
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
        self,
        port: int,
        family: int,
        address: tuple[str, int] | tuple[str, int, int, int] | str | bytes,
        *,
        serving: bool = True,
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
