"""
Exits of containers as the kernel shows them, earlier than engines do.

An engine gives a dead container's address away before it announces the death: Docker
and Podman clean up first, and on a busy host that takes a while. The kernel shows the
end of a process at once to every holder of its descriptor, so that nothing is sent to
the address from then on. How the run ended, and what follows from that, is left to the
engine.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..errors import EngineError
from .model import Container
from .replica import Replica
from .replica_store import ReplicaStore

__all__ = ["ExitWatcher", "open_process"]

log = logging.getLogger(__name__)

LATE = 30.0  # seconds for the engine to say what became of one that is dead
SILENT = 2.0  # seconds of it after which another takes its place


class ExitWatcher:
    """
    Watcher that removes replicas from *store*'s table once their processes end.

    It works while entered. Replicas of a remote engine, or in another PID namespace,
    are left to the engine's events.
    """

    def __init__(self, store: ReplicaStore) -> None:
        self._store = store
        # None: not opened yet, or not available.
        self._held: dict[Replica, int | None] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()

    def __contains__(self, replica: Replica) -> bool:
        return self._held.get(replica) is not None

    async def __aenter__(self) -> Self:
        self._store.runs.append(self.watch)
        for replica in self._store.replicas:
            self.watch(replica)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._store.runs.remove(self.watch)
        for replica in list(self._held):
            self._leave(replica)
        for task in self._waiting:
            task.cancel()
        # A descriptor opened from here on is closed at once by its opener.
        if tasks := self._opening | self._waiting:
            await asyncio.wait(tasks)

    def watch(self, replica: Replica) -> None:
        """Watch *replica* until its run is over; idempotent."""
        container = replica.container
        if replica in self._held or replica.dead.is_set() or not container.pid:
            return
        self._held[replica] = None
        replica.ended.add_done_callback(lambda _: self._leave(replica))
        task = asyncio.create_task(
            self._open(replica, container), name=f"watch over {replica.name}"
        )
        _keep(task, self._opening)

    async def _open(self, replica: Replica, container: Container) -> None:
        found = await asyncio.to_thread(open_process, container.pid, container.id)
        if found is None:
            return
        if replica not in self._held:
            os.close(found)
            return
        self._held[replica] = found
        asyncio.get_running_loop().add_reader(found, self._ended, replica)

    def _leave(self, replica: Replica) -> None:
        descriptor = self._held.pop(replica, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def _ended(self, replica: Replica) -> None:
        self._leave(replica)
        replica.dead.set()
        self._store.table.lose(replica)
        log.debug("Process of a replica ended", extra=self._store.tell(replica))
        task = asyncio.create_task(self._told(replica), name=f"end of {replica.name}")
        _keep(task, self._waiting)

    async def _told(self, replica: Replica) -> None:
        """Make sure that a dead replica counts as dead even if no event says so."""
        await asyncio.wait({replica.ended}, timeout=SILENT)
        if not replica.ended.done():
            self._store.presume_gone(replica)
            await asyncio.wait({replica.ended}, timeout=LATE)
        if not replica.ended.done():
            with suppress(EngineError):
                await self._store.look_at(replica.id)
        if not replica.ended.done():
            self._store.lose(replica, None)


def _keep(task: asyncio.Task[None], where: set[asyncio.Task[None]]) -> None:
    where.add(task)
    task.add_done_callback(where.discard)


def open_process(pid: int, container: str) -> int | None:
    """
    Open a descriptor, owned by the caller, that is readable once *pid* has ended.

    Return None unless *pid* is a process of *container*: the number may belong to
    another host or namespace, or may have been reused.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
    # Checked only now: from here on the number cannot be reused unnoticed.
    with suppress(OSError):
        if container in Path(f"/proc/{pid}/cgroup").read_text():
            return descriptor
    os.close(descriptor)
    return None
