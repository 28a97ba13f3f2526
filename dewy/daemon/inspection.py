"""Comparison of dewy's state with the facts, every few seconds and before each poll."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ..admin.control import ControlServer
from ..deploy.lock import RootLock
from ..deploy.releases import Releases
from ..deploy.state_store import StateStore
from ..errors import DewyError
from ..logs import summary
from ..supervisor.generations import Generations
from ..supervisor.worker import Worker

__all__ = ["RootGuard", "inspecting", "keep_link", "keep_release"]

log = logging.getLogger(__name__)

PERIOD = 2.0
AGAIN = 60.0

Look = Callable[[], Awaitable[object]]


@asynccontextmanager
async def inspecting(
    *looks: Look, period: float = PERIOD
) -> AsyncIterator[asyncio.Task[None]]:
    """
    Take each of *looks* every *period* seconds, for as long as this is entered.

    An error of one of them is logged, once for as long as it stays the same.
    """
    task = asyncio.create_task(_inspect(looks, period), name="inspection")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def keep_link(state_store: StateStore, releases: Releases) -> Look:
    """
    Return a check that `current` leads to the state's release, unless it moves.
    """

    async def look() -> None:
        running = state_store.state.running
        if running is not None and releases.trial is None:
            await releases.restore(running.directory)

    return look


def keep_release(generations: Generations, restart: Callable[[], None]) -> Look:
    """
    Return a check that requests *restart* of a generation of the wrong release.

    It has to be found twice: a rollback writes the state before it restarts.
    """
    found: Worker | None = None
    asked_for: tuple[Worker, float] | None = None

    async def look() -> None:
        nonlocal asked_for, found
        worker, before = generations.serving, found
        found = worker if generations.misplaced else None
        if worker is None or found is None or found is not before:
            return
        now = worker.loop.time()
        # A release that cannot be started is not tried every few seconds.
        if asked_for and asked_for[0] is worker and now - asked_for[1] < AGAIN:
            return
        asked_for = worker, now
        log.warning(
            "Program is of another release than the state says: restarting it",
            extra={"generation": worker.generation, "directory": worker.release},
        )
        restart()

    return look


async def _inspect(looks: tuple[Look, ...], period: float) -> None:
    told: dict[Look, str] = {}
    while True:
        await asyncio.sleep(period)
        for look in looks:
            try:
                await look()
            except (DewyError, OSError) as exc:
                problem = summary(exc)
                if told.get(look) != problem:
                    log.error("Inspection failed", extra={"error": problem})
                told[look] = problem
            except Exception:
                # An internal fault must not end the supervision of a program.
                log.exception("Inspection ran into a fault of dewy")
            else:
                told.pop(look, None)


@dataclass(frozen=True, slots=True)
class RootGuard:
    """
    Guard that restores what was removed from `.dewy` under a running dewy.

    A control socket that could not be opened, as on a file system that was read-only,
    is opened once it can be.
    """

    lock: RootLock
    state_store: StateStore
    control: ControlServer

    async def restore(self) -> None:
        """
        Bring back the directory, the lock, the state and the socket.

        Raises:
            RootBusy: the root was taken by another dewy meanwhile.
            OSError: the directory cannot be written.
        """
        restored = []
        if await asyncio.to_thread(self.lock.restore):
            restored.append("lock")
        if await self.state_store.restore():
            restored.append("state")
        if not self.control.listens:
            await self._listen()
        elif await self.control.restore():
            restored.append("socket")
        if restored:
            log.warning(
                "Restored what was removed from the root",
                extra={"restored": restored, "directory": str(self.lock.private)},
            )

    async def _listen(self) -> None:
        with suppress(DewyError, OSError):
            await self.control.__aenter__()
            await asyncio.to_thread(self.lock.tell, "")
            log.info("Control socket opened", extra={"socket": str(self.control.path)})
