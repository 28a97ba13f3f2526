"""
Deaths of containers, from the kernel itself: engines tell of them late.

An engine gives a dead container's address away before it says that it is dead:
Docker and Podman clean up first, and on a busy host that takes a while. The kernel
shows the end of a process at the instant it happens, to whoever holds a descriptor
of it, so that nothing is sent to the address from then on. What the end was, and
what follows from it, is the engine's to say.
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


class ExitWatcher:
    """
    While entered, takes replicas out of *store*'s table as their processes end.

    Those of an engine elsewhere, or in another namespace of processes, are left to
    the engine's own events.
    """

    def __init__(self, store: ReplicaStore) -> None:
        self._store = store
        # None: not opened yet, or not to be had.
        self._held: dict[Replica, int | None] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Task[None]] = set()

    def __contains__(self, replica: Replica) -> bool:
        return self._held.get(replica) is not None

    async def __aenter__(self) -> Self:
        self._store.runs = self.watch
        for replica in self._store.replicas:
            self.watch(replica)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._store.runs = lambda replica: None
        for replica in list(self._held):
            self._leave(replica)
        for task in self._waiting:
            task.cancel()
        # Whoever opens a descriptor closes it again now.
        if tasks := self._opening | self._waiting:
            await asyncio.wait(tasks)

    def watch(self, replica: Replica) -> None:
        """Until its run is over; idempotent."""
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
        """See to it that what is dead is taken for dead, should no event say so."""
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
    A descriptor that is readable once process *pid* has ended; the caller's to close.

    None unless it is a process of *container*: the number may be one of another
    host's or namespace's, or another's by now.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
    # Only now: from here on the number can't become another's unnoticed.
    with suppress(OSError):
        if container in Path(f"/proc/{pid}/cgroup").read_text():
            return descriptor
    os.close(descriptor)
    return None
