"""
Letting replicas go without cutting a connection.

First a replica is out of the table, and its connections have time to end. Then
it is told to stop while the proxy goes on relaying what is open, so that it ends
its connections itself. What does not stop is killed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import EngineError
from ..histogram import DRAIN_BOUNDS, Histogram
from .replica import Replica
from .replica_store import ReplicaStore
from .rollout import Phase

__all__ = ["Drainer", "Timeouts"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """
    Seconds that a leaving replica is given.

    Attributes:
        drain: For its connections, before it hears anything.

        stop: From its stop signal to SIGKILL.

        jitter: Over which the stop signals are spread of replicas that leave
            together and still have connections.
    """

    drain: float
    stop: float
    jitter: float = 0.0

    def spread(self, count: int) -> list[float]:
        """Return the seconds to drain of *count* replicas, one in each slice."""
        part = self.jitter / max(count, 1)
        return [self.drain + part * (n + random.random()) for n in range(count)]


class Drainer:
    """
    Drains, stops and removes replicas of *store*, each in a task of its own.

    Args:
        hurry: Set when nobody is to be waited for any more.

    Attributes:
        drains: Seconds from out of the table to gone.
    """

    def __init__(
        self, store: ReplicaStore, timeouts: Timeouts, hurry: asyncio.Event
    ) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()
        self.timeouts = timeouts
        self.hurry = hurry
        self.drains = Histogram(DRAIN_BOUNDS)

    def begin(self, replicas: Iterable[Replica]) -> None:
        """Take *replicas* out of the table in one swap, and let them go."""
        leaving = self._store.dismiss(replicas)
        seconds = self.timeouts.spread(len(leaving))
        for replica, drain in zip(leaving, seconds, strict=True):
            task = asyncio.create_task(
                self._retire(replica, drain), name=f"drain of {replica.name}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """Return when all of them are gone, or could not be removed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Give up; what is left is for the next dewy."""
        for task in self._tasks:
            task.cancel()
        await self.ended()

    async def _retire(self, replica: Replica, drain: float) -> None:
        store, loop = self._store, asyncio.get_running_loop()
        begun = loop.time()
        try:
            left = await self._drain(replica, drain)
            log.info("Stopping container", extra=store.tell(replica, connections=left))
            await store.engine.stop(replica.id, self._seconds(self.timeouts.stop))
            # Out of the engine's sight before its address may be another's.
            store.table.lose(replica)
            await store.remove(replica)
            self.drains.add(loop.time() - begun)
        except EngineError as exc:
            log.warning(
                "Container not removed", extra=store.tell(replica, error=str(exc))
            )
            if store.get(replica.id) is replica:
                # The next look at it decides what becomes of it.
                replica.phase = Phase.GONE if replica.ended.done() else Phase.UNCHECKED

    async def _drain(self, replica: Replica, seconds: float) -> int:
        """Wait for its connections; how many are left."""
        if not replica.backends:
            return 0
        draining = asyncio.gather(
            *(b.drain(seconds) for b in replica.backends.values())
        )
        hurried = asyncio.create_task(self.hurry.wait(), name="hurry")
        either: set[asyncio.Future[Any]] = {draining, hurried}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            draining.cancel()
            hurried.cancel()
            await asyncio.wait(either)
        return replica.connections

    def _seconds(self, timeouts: float) -> float:
        return 0.0 if self.hurry.is_set() else timeouts
