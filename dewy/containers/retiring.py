"""
Letting replicas go without cutting a connection.

First a replica is out of the table, and its connections have time to end. Then
it is told to stop while the proxy goes on relaying what is open, so that it ends
its connections itself. What does not stop is killed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..distribution import DRAIN_BOUNDS, Distribution
from ..errors import EngineError
from .fleet import Fleet
from .replica import Replica
from .rollout import Phase

__all__ = ["Patience", "Retirement"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """
    Seconds that a leaving replica is given.

    Attributes:
        drain: For its connections, before it hears anything.

        stop: From its stop signal to SIGKILL.
    """

    drain: float
    stop: float


class Retirement:
    """
    Drains, stops and removes replicas of *fleet*, each in a task of its own.

    Args:
        hurry: Set when nobody is to be waited for any more.

    Attributes:
        drains: Seconds from out of the table to gone.
    """

    def __init__(self, fleet: Fleet, patience: Patience, hurry: asyncio.Event) -> None:
        self._fleet = fleet
        self._tasks: set[asyncio.Task[None]] = set()
        self.patience = patience
        self.hurry = hurry
        self.drains = Distribution(DRAIN_BOUNDS)

    def begin(self, replicas: Iterable[Replica]) -> None:
        """Take *replicas* out of the table in one swap, and let them go."""
        leaving = self._fleet.dismiss(replicas)
        for replica in leaving:
            task = asyncio.create_task(
                self._retire(replica), name=f"retirement of {replica.name}"
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

    async def _retire(self, replica: Replica) -> None:
        fleet, loop = self._fleet, asyncio.get_running_loop()
        begun = loop.time()
        try:
            left = await self._drain(replica)
            log.info("Stopping container", extra=fleet.tell(replica, connections=left))
            await fleet.engine.stop(replica.id, self._seconds(self.patience.stop))
            # Out of the engine's sight before its address may be another's.
            fleet.table.lose(replica)
            await fleet.remove(replica)
            self.drains.add(loop.time() - begun)
        except EngineError as exc:
            log.warning(
                "Container not removed", extra=fleet.tell(replica, error=str(exc))
            )
            if fleet.get(replica.id) is replica:
                # The next look at it decides what becomes of it.
                replica.phase = Phase.GONE if replica.ended.done() else Phase.UNCHECKED

    async def _drain(self, replica: Replica) -> int:
        """Wait for its connections; how many are left."""
        if not replica.backends:
            return 0
        seconds = self.patience.drain
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

    def _seconds(self, patience: float) -> float:
        return 0.0 if self.hurry.is_set() else patience
