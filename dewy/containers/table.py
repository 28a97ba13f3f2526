"""The replicas that receive new connections, on every port of the proxy alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from ..config import Reloadable, Settings
from ..proxy import Backend, Port
from .replica import Replica
from .upstream import Upstream

__all__ = ["ReplicaTable"]

log = logging.getLogger(__name__)


class ReplicaTable:
    """
    Table of replicas, which keeps the ports of the proxy in step with each other.

    Args:
        ports: Ports of the proxy, in the order of the operator's mappings.

        settings: Settings, whose `drain_time` is the limit in seconds for connections
            to a replica that is gone to hand over what was received of it.
    """

    def __init__(self, ports: Sequence[Port], settings: Reloadable[Settings]) -> None:
        self.ports = tuple(ports)
        self._settings = settings
        self._serving: list[Replica] = []
        self._closing: set[asyncio.Task[None]] = set()

    def __contains__(self, replica: Replica) -> bool:
        return replica in self._serving

    def __len__(self) -> int:
        return len(self._serving)

    def add(self, replicas: Iterable[Replica]) -> None:
        """Give new connections to *replicas*, too."""
        self._swap([*self._serving, *replicas])

    def drop(self, replicas: Iterable[Replica]) -> None:
        """Give no more new connections to *replicas*; their open ones stay."""
        leaving = set(replicas)
        self._swap([each for each in self._serving if each not in leaving])

    def move(self, replica: Replica, upstream: Upstream) -> None:
        """Reach *replica* by *upstream* from now on."""
        old = replica.backends
        replica.reroute(self.ports, upstream)
        self._swap(self._serving)
        self.leave_open(old.values())

    def eject(self, replica: Replica) -> None:
        """Prefer the other replicas to it, for as long as there are any."""
        for backend in replica.backends.values():
            backend.eject()

    def restore(self, replica: Replica) -> None:
        """Use it like the others again."""
        for backend in replica.backends.values():
            backend.restore()

    def lose(self, replica: Replica) -> None:
        """
        Cut all ways to a dead *replica*: no data may go to its addresses any more.

        A connection still being established must not succeed either, for a new holder
        of the address would be asked for it a second later. Data already received from
        the replica is handed over, for a while.
        """
        self.drop([replica])
        backends = replica.give_up_backends()
        for backend in backends:
            backend.recall()
        self._close(backends, cut=True)

    def leave_open(self, backends: Iterable[Backend]) -> None:
        """Stop new connections to *backends*; open ones live on, as the backends do."""
        self._close(backends, cut=False)

    def _close(self, backends: Iterable[Backend], *, cut: bool) -> None:
        seconds = self._settings.current.drain_time
        for backend in backends:
            work = _close(backend, seconds, cut=cut)
            task = asyncio.create_task(work, name=repr(backend))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def stop(self) -> None:
        """End all waits at once."""
        for task in self._closing:
            task.cancel()
        if self._closing:
            await asyncio.wait(self._closing)

    def _swap(self, replicas: Iterable[Replica]) -> None:
        """Serve with *replicas* from now on, by the backends that they have now."""
        wanted = list(dict.fromkeys(replicas))
        backends = (b for r in wanted for b in r.backends.values())
        if wanted == self._serving and all(each.serving for each in backends):
            return
        # No `await` in between: to clients all ports change at the same instant.
        self._serving = wanted
        for number, port in enumerate(self.ports):
            port.serve(
                [r.backends[number] for r in self._serving if number in r.backends]
            )
        for replica in self._serving:
            if not replica.health_tracker.healthy:
                self.eject(replica)


async def _close(backend: Backend, seconds: float, *, cut: bool) -> None:
    try:
        if await backend.drain(seconds) and cut:
            backend.cut()
    finally:
        await backend.remove()
