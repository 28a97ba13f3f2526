"""Watch for clients that wait because nothing accepts their connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from ..logs import duration
from ..notifiers import NoticeKind
from .accept_queue import PATIENCE, AcceptQueue, read_on
from .generations import Generations
from .sockets import Listener, Listeners
from .worker import Worker

__all__ = ["AcceptWatch"]

log = logging.getLogger(__name__)

Tell = Callable[[NoticeKind, str], object]


class AcceptWatch:
    """
    Watch of the accept queues of *listeners*, while a generation serves.

    A generation may live and be deaf. That is reported, and the generation left
    alone: a program may pause on purpose. If dewy opened the port again during its
    life, its predecessor had closed the port under it, and it may have ended its
    accept loop for that: it is replaced by one of the same release. The successor is
    not replaced in turn, or a release that always does this would never come to rest.

    Args:
        restart: Requests another generation of the same release.

        tell: Sends a notice.

        patience: Seconds that connections wait before it is said that nothing accepts.
    """

    def __init__(
        self,
        generations: Generations,
        listeners: Listeners,
        restart: Callable[[], None],
        tell: Tell,
        patience: float = PATIENCE,
    ) -> None:
        self._generations = generations
        self._listeners = listeners
        self._restart = restart
        self._tell = tell
        self._patience = patience
        self._queues: dict[str, AcceptQueue] = {}
        self._worker: Worker | None = None
        self._told: Worker | None = None
        self._restarted: Worker | None = None
        self._successor: Worker | None = None
        self._problems: Sequence[str] = ()
        generations.watches.append(lambda: self._problems)

    @property
    def undecided(self) -> bool:
        """Whether connections may be waiting in vain."""
        return any(queue.unmoved for queue in self._queues.values())

    async def look(self) -> None:
        """Repair what programs did to the sockets they share; look at the queues."""
        self._listeners.restore()
        worker = self._generations.serving
        if worker is None or not worker.alive or self._generations.starts:
            self._problems = ()
            return self._queues.clear()
        self._follow(worker)
        for listener in self._listeners:
            self._queues[listener.name] = await self._look_at(listener)
        stuck = {n: q for n, q in self._queues.items() if q.stuck(self._patience)}
        self._problems = [queue.describe(name) for name, queue in stuck.items()]
        if not stuck:
            return self._recovered()
        if worker is self._generations.serving and self._is_due(worker):
            self._failed(worker, stuck)

    def _follow(self, worker: Worker) -> None:
        """Note whether *worker* is the one that a restart from here led to."""
        before, self._worker = self._worker, worker
        if before is None or before is worker or before is not self._restarted:
            return
        if before.release == worker.release:
            self._successor = worker

    async def _look_at(self, listener: Listener) -> AcceptQueue:
        queue = self._queues.get(listener.name, AcceptQueue())
        now = asyncio.get_running_loop().time()
        try:
            return await read_on(queue, listener.socket, now)
        except OSError as exc:
            fields = {"port": listener.name, "error": str(exc)}
            log.debug("Accept queue not read", extra=fields)
            return AcceptQueue()

    def _is_due(self, worker: Worker) -> bool:
        """Return whether *worker* has had its time, and was not reported yet."""
        served = worker.loop.time() - worker.since
        return worker is not self._told and served >= self._patience

    def _failed(self, worker: Worker, stuck: Mapping[str, AcceptQueue]) -> None:
        self._told = worker
        for name, queue in stuck.items():
            fields = {
                "port": name,
                "generation": worker.generation,
                "count": len(queue.waiting),
                "waited": duration(queue.at - queue.since),
            }
            log.warning("Nothing accepts connections", extra=fields)
        problem = "; ".join(self._problems)
        self._tell(NoticeKind.ERROR, f"{problem}; {self._answer(worker, stuck)}")

    def _answer(self, worker: Worker, stuck: Mapping[str, AcceptQueue]) -> str:
        """Restart *worker* if it is not to blame; return a phrase for the notice."""
        reopened = self._listeners.reopened
        if all(reopened.get(name, -1.0) < worker.since for name in stuck):
            return "the program is left running"
        if worker is self._successor:
            return "a restart did not help, and the program is left running"
        self._restarted = worker
        log.warning(
            "Program accepts nothing since its port was opened again: restarting it",
            extra={"generation": worker.generation, "ports": sorted(stuck)},
        )
        self._restart()
        return "the port was closed under the program, which is restarted once"

    def _recovered(self) -> None:
        # Whether one that was started meanwhile accepts is not known at once.
        if self._told is None or any(queue.length for queue in self._queues.values()):
            return
        self._told = None
        log.info("Connections are accepted again")
        self._tell(NoticeKind.RECOVERY, "connections are accepted again")
