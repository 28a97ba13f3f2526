"""
Removal of replicas from service without cutting a connection.

A replica first leaves the table, and its connections have time to end. Then it is told
to stop while the proxy goes on relaying open connections, so that it can end them
itself. A replica that does not stop is killed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import EngineError
from ..histogram import DRAIN_BOUNDS, Histogram
from .replica import Replica
from .replica_store import ReplicaStore

__all__ = ["Drainer", "Timeouts"]

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts to remove a container, doubled after each failure."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """
    Time limits of a leaving replica, in seconds.

    Attributes:
        drain: Time for its connections to end before the stop signal.

        stop: Time from the stop signal to SIGKILL.

        jitter: Time over which the stop signals are spread, of replicas that leave
            together and still have connections.
    """

    drain: float
    stop: float
    jitter: float = 0.0

    def spread(self, count: int) -> list[float]:
        """Return the seconds to drain of *count* replicas, one in each slice."""
        part = self.jitter / max(count, 1)
        return [self.drain + part * (n + random.random()) for n in range(count)]

    def drain_within(self, shutdown: float) -> float:
        """
        Return the seconds to drain when everything has to end within *shutdown*.

        That is the time that stopping leaves, but at least half: only while draining
        can requests end that the program itself would break off.
        """
        return min(self.drain, max(shutdown - self.stop, shutdown / 2))


class Drainer:
    """
    Drainer of *store*'s replicas: drains, stops and removes each in its own task.

    Args:
        timeouts: Returns the time limits in use.

        hurry: Set when nothing is to be waited for any more.

    Attributes:
        drains: Durations in seconds, from leaving the table to removal.

        no_drain: Set when connections are not to be waited for any more.
    """

    def __init__(
        self,
        store: ReplicaStore,
        timeouts: Callable[[], Timeouts],
        hurry: asyncio.Event,
    ) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()
        self._timeouts = timeouts
        self.hurry = hurry
        self.no_drain = asyncio.Event()
        self.drains = Histogram(DRAIN_BOUNDS)

    def begin(self, replicas: Iterable[Replica], *, spread: bool = True) -> None:
        """
        Take *replicas* out of the table in one swap and start to drain them.

        Their stop signals are *spread* over the jitter.
        """
        leaving, timeouts = self._store.dismiss(replicas), self._timeouts()
        jitter = timeouts.jitter if spread else 0.0
        seconds = replace(timeouts, jitter=jitter).spread(len(leaving))
        for replica, drain in zip(leaving, seconds, strict=True):
            task = asyncio.create_task(
                self._retire(replica, drain), name=f"drain of {replica.name}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """Return when all drained replicas are removed, or could not be."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Give up; the next dewy deals with the replicas that are left."""
        for task in self._tasks:
            task.cancel()
        await self.ended()

    async def _retire(self, replica: Replica, drain: float) -> None:
        store, loop = self._store, asyncio.get_running_loop()
        begun = loop.time()
        try:
            left = await self._drain(replica, drain)
            await self._until_retry(replica)
            log.info("Stopping container", extra=store.tell(replica, connections=left))
            await self._stop(replica)
            # Out of the engine's sight before its address may be another's.
            store.table.lose(replica)
            await store.remove(replica)
            self.drains.add(loop.time() - begun)
        except EngineError as exc:
            log.warning(
                "Container not removed", extra=store.tell(replica, error=str(exc))
            )
            if store.get(replica.id) is replica:
                self._failed(replica)

    def _failed(self, replica: Replica) -> None:
        pause = min(FIRST_PAUSE * 2.0 ** min(replica.not_removed, 16), LONGEST_PAUSE)
        replica.stay(pause)
        asyncio.get_running_loop().call_later(pause, self._store.changed.set)

    async def _until_retry(self, replica: Replica) -> None:
        """Pause if the removal of *replica* failed a moment ago."""
        pause = replica.retry_at - asyncio.get_running_loop().time()
        if pause > 0:
            await _unless(asyncio.sleep(pause), self.hurry, self.no_drain)

    async def _drain(self, replica: Replica, seconds: float) -> int:
        """Wait for the connections of *replica* to end; return how many are left."""
        if replica.backends:
            draining = asyncio.gather(
                *(b.drain(seconds) for b in replica.backends.values())
            )
            await _unless(draining, self.hurry, self.no_drain)
        return replica.connections

    async def _stop(self, replica: Replica) -> None:
        """Have the engine stop *replica*; at once when in a hurry."""
        stop, seconds = self._store.engine.stop, self._timeouts().stop
        if self.hurry.is_set() or not await _unless(
            stop(replica.id, seconds), self.hurry
        ):
            await stop(replica.id, 0)


async def _unless(work: Awaitable[object], *events: asyncio.Event) -> bool:
    """Await *work* unless one of *events* is set; return whether it was completed."""
    task = asyncio.ensure_future(work)
    waits = [asyncio.create_task(e.wait(), name="hurry") for e in events]
    either: set[asyncio.Future[Any]] = {task, *waits}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = task.done()
        for each in either:
            each.cancel()
        await asyncio.wait(either)
    if ended:
        task.result()
    elif not task.cancelled():
        task.exception()  # asked for, or the loop complains that nobody did
    return ended
