"""The supervisor of a program, which answers deaths and restart requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from ..errors import DeploymentError, RestartCalledOff
from ..logs import detailed, duration
from .backoff import Death
from .generations import Generations
from .worker import Worker

log = logging.getLogger(__name__)


class Supervisor:
    """
    Supervisor of *generations* for as long as it is entered.

    Args:
        died: Awaited when the serving generation ended by itself. It may put another
            release in place, and then returns True.
    """

    def __init__(
        self, generations: Generations, died: Callable[[Worker], Awaitable[bool]]
    ) -> None:
        self.generations = generations
        self._died = died
        self._restart = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        bodies = {"watch": self._watch(), "restarts": self._restart_on_request()}
        if self.generations.policy.auto_restart:
            bodies["auto restart"] = self._restart_at_intervals()
        self._tasks = [asyncio.create_task(b, name=n) for n, b in bodies.items()]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """
        Start the first generation, if none lives.

        Raises:
            StartFailed: the generation did not get ready; it will be tried again by
                itself.
        """
        await self.generations.respawn()

    def restart(self) -> None:
        """
        Request a new generation of the same program.

        Requests while one is being started become one more restart.
        """
        self._restart.set()

    async def stop(self) -> None:
        """End every generation and wait for it; idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.generations.stop()

    async def _watch(self) -> None:
        generations = self.generations
        while True:
            generations.changed.clear()
            worker = generations.serving
            await self._change_or_end(worker)
            if worker and worker is generations.serving and not worker.alive:
                await self._answer_death(worker)

    async def _answer_death(self, worker: Worker) -> None:
        generations = self.generations
        lived = worker.loop.time() - worker.since
        moved = False
        # Without a process, or cancelled for another, it was no death.
        if worker.pid and not worker.called_off:
            generations.deaths.add(_death(worker, lived))
            _log_death(worker, lived)
            moved = await self._moved(worker)
        deaths = generations.deaths
        if moved:
            deaths.end_row()
        else:
            deaths.prolong(lived)
        delay = deaths.backoff.delay
        if delay and await self._changes_within(delay):
            return
        if worker is generations.serving:
            await self._try_again()

    async def _moved(self, worker: Worker) -> bool:
        with _survived("Death was not judged"):
            return await self._died(worker)
        return False

    async def _try_again(self) -> None:
        with _survived("Program did not start"):
            await self.generations.respawn()

    async def _restart_on_request(self) -> None:
        while True:
            await self._restart.wait()
            self._restart.clear()
            with _survived("Restart failed; the old generation serves on"):
                await self._restarted()

    async def _restarted(self) -> None:
        try:
            restarted = await self.generations.restart()
        except RestartCalledOff as exc:
            log.info("Restart called off", extra={"why": str(exc)})
            return
        if not restarted:
            log.warning("Nothing to restart")

    async def _restart_at_intervals(self) -> None:
        while True:
            await asyncio.sleep(self.generations.policy.auto_restart)
            self.restart()

    async def _change_or_end(self, worker: Worker | None) -> None:
        changed = asyncio.ensure_future(self.generations.changed.wait())
        either: set[asyncio.Future[Any]] = {changed}
        if worker:
            either.add(worker.exited)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            await asyncio.wait({changed})

    async def _changes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.generations.changed.wait()
        except TimeoutError:
            return False
        return True


@contextmanager
def _survived(what: str) -> Iterator[None]:
    """Log any failure; not even an internal fault ends the supervision of a program."""
    try:
        yield
    except DeploymentError as exc:
        log.error(what, extra={"error": detailed(exc)})
    except Exception:
        log.exception(what)


def _death(worker: Worker, lived: float) -> Death:
    reason = "exit" if worker.exited.result() >= 0 else "signal"
    return Death(worker.generation, worker.ending, lived, time.time(), reason)


def _log_death(worker: Worker, lived: float) -> None:
    log.error(
        "Program ended by itself",
        extra={
            "generation": worker.generation,
            "how": worker.ending,
            "lived": duration(lived),
        },
    )
