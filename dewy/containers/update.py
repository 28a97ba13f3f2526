"""
Performing what the reconciler decides, until nothing is left to decide.

Used for a deployment and for healing alike; they differ in what a death means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from ..errors import EngineError, StartFailed
from .container_spec import ContainerSpec
from .drainer import Drainer
from .launcher import Launcher, ReadinessProbe
from .replica import Replica
from .replica_store import ReplicaStore
from .rollout import Desired, Observed, Phase, Plan, reconcile

__all__ = ["Order", "Update"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """
    What there is to be in the end.

    Attributes:
        container_spec: What the replicas are made from.

        replicas: How many there are to be.

        parallel: How many may start at a time.

        readiness: When one of them is ready.
    """

    container_spec: ContainerSpec
    replicas: int
    parallel: int
    readiness: ReadinessProbe

    @property
    def desired(self) -> Desired:
        """As the reconciler takes it."""
        return Desired(self.container_spec.spec, self.replicas, self.parallel)


class Update:
    """
    One way from what there is to what there is to be.

    Args:
        strict: A replica of *order* that dies after it was ready is the end of
            it, as in a deployment; else another is started.

        enough: Whether whoever called has something to decide first; then `run`
            returns.

    Attributes:
        known: The change of the store that was looked at last.
    """

    def __init__(
        self,
        store: ReplicaStore,
        launcher: Launcher,
        drainer: Drainer,
        order: Order,
        *,
        strict: bool = False,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._drainer = drainer
        self._order = order
        self._beside = False
        self._strict = strict
        self._enough = enough
        self._admitted: list[Replica] = []
        self._pending: dict[int, Observed] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.known = 0

    async def run(self, *, beside: bool = False) -> None:
        """
        Return when everything is as it is to be, or there is `enough`; those that
        leave may drain on. With *beside*, return once all replicas of the order
        serve; the others stay.

        Raises:
            StartFailed: a replica was not ready in time, or died. Whoever serves
                serves on, new ones among them.
            EngineError: the engine did not do its part.
        """
        self._beside = beside
        try:
            while not await self._advance():
                await self._something_happened()
        finally:
            await _ended(self._tasks)

    async def _advance(self) -> bool:
        """Do what can be done now; whether all is done."""
        self.known = self._store.changed.count
        await self._refuse_deaths()
        if self._enough():
            return True
        seen = [*self._store.snapshot(), *self._pending.values()]
        todo = reconcile(seen, self._order.desired)
        await self._remove(self._known(todo.remove))
        self._begin(todo)
        self._admit(self._known(todo.admit))
        if self._beside:
            return todo.complete
        if leaving := self._known(todo.leave):
            self._drainer.begin(leaving)
            self._store.changed.set()
        return todo.complete and todo.idle

    def _begin(self, todo: Plan) -> None:
        for replica in self._known(todo.check):
            replica.phase = Phase.STARTING
            self._spawn(self._check(replica), f"check of {replica.name}")
        for index in todo.start:
            spec = self._order.container_spec.spec
            self._pending[index] = Observed(f"#{index}", index, spec, Phase.STARTING)
            self._spawn(self._start(index), f"start of replica {index}")

    def _spawn(self, work: Awaitable[None], name: str) -> None:
        async def run() -> None:
            await work

        self._tasks.add(asyncio.create_task(run(), name=name))

    def _admit(self, ready: Iterable[Replica]) -> None:
        entering = list(ready)
        if entering:
            self._store.admit(entering)
            self._admitted += entering
            self._store.changed.set()

    async def _start(self, index: int) -> None:
        try:
            replica = await self._launcher.start(self._order.container_spec, index)
        finally:
            del self._pending[index]
        await self._check(replica)

    async def _check(self, replica: Replica) -> None:
        try:
            await self._launcher.until_ready(replica, self._order.readiness)
        except StartFailed:
            self._drainer.begin([replica])
            raise
        except asyncio.CancelledError:
            # The next look at it finds out.
            if replica.phase is Phase.STARTING:
                replica.phase = Phase.UNCHECKED
            raise

    async def _refuse_deaths(self) -> None:
        dead = [r for r in self._admitted if r.ended.done() and r.phase is Phase.GONE]
        if dead and self._strict:
            tail = await self._store.tail(dead[0].id)
            code = dead[0].ended.result()
            how = "" if code is None else f" with exit status {code}"
            raise StartFailed(
                f"replica {dead[0].name} ended{how} while others were started",
                log_tail=tail,
            )

    async def _remove(self, replicas: Iterable[Replica]) -> None:
        for replica in replicas:
            try:
                await self._store.remove(replica)
            except EngineError as exc:
                log.warning(
                    "Container not removed",
                    extra=self._store.tell(replica, error=str(exc)),
                )
                await self._store.orphan(replica)

    async def _something_happened(self) -> None:
        """Wait for a task to end, or for a change; raises what a task raised."""
        changed = asyncio.create_task(
            self._store.changed.since(self.known), name="change"
        )
        try:
            await asyncio.wait(
                {changed, *self._tasks}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await _ended({changed})
        done = {task for task in self._tasks if task.done()}
        failures = [failure for task in done if (failure := task.exception())]
        self._tasks -= done
        if failures:
            raise failures[0]

    def _known(self, ids: Iterable[str]) -> list[Replica]:
        found = (self._store.get(each) for each in ids)
        return [replica for replica in found if replica is not None]


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *tasks* and wait for them; what they raised is of no interest."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
