"""
Execution of what `reconcile` decides: rollouts and healing, side by side.

Neither waits for the other, nor does one replica for another: whatever takes time is a
task of its own, and each change of the store leads to a new decision.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ..deploy.deployer import Progress
from ..errors import DewyError, EngineError, StartFailed
from ..logs import detail_of, detailed, summary
from .container_spec import ContainerSpec
from .drainer import Drainer
from .launcher import Launcher, ReadinessProbe
from .replica import Replica
from .replica_store import ReplicaStore
from .restart_policy import Pacing
from .revision import ended
from .rollout import Desired, Observed, Phase, Plan, reconcile

__all__ = ["Circumstances", "Healing", "Rollout", "UpdateTarget"]

log = logging.getLogger(__name__)

SECOND_LOOK = 2.0
"""Seconds for a replica that has served to answer again; its start-up is over."""


@dataclass(frozen=True, slots=True)
class UpdateTarget:
    """
    State to be reached in the end.

    Attributes:
        container_spec: Container specification of the replicas.

        desired: Number of replicas, and how many may start at a time.

        readiness: Readiness probe of a replica.
    """

    container_spec: ContainerSpec
    desired: Desired
    readiness: ReadinessProbe


class _Update(ABC):
    """
    Transition from the current to the desired state.

    Attributes:
        known: Count of the last change of the store that was taken into account.
    """

    def __init__(
        self,
        store: ReplicaStore,
        launcher: Launcher,
        drainer: Drainer,
        order: UpdateTarget,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._drainer = drainer
        self._order = order
        self._pending: dict[int, Observed] = {}
        self._removing: set[Replica] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.known = 0

    async def run(self) -> None:
        """Go on until nothing is left to do; leave at once when cancelled."""
        try:
            while not await self._advance():
                await self._something_happened()
        finally:
            await ended(self._tasks)

    @abstractmethod
    async def _advance(self) -> bool:
        """Do what can be done now; return whether everything is done."""

    @abstractmethod
    def _failed(self, exc: BaseException) -> None:
        """Note that a task failed; an exception raised here ends the update."""

    def _patience(self) -> float | None:
        """Return the seconds after which to decide again without any change."""
        return None

    def _decide(self, desired: Desired) -> Plan:
        self.known = self._store.changed.count
        return reconcile([*self._store.snapshot(), *self._pending.values()], desired)

    def _check(self, todo: Plan) -> None:
        for replica in self._known(todo.check):
            replica.await_readiness()
            name = f"check of {replica.name}"
            checking = asyncio.create_task(self._until_ready(replica), name=name)
            self._tasks.add(checking)

    def _start(self, todo: Plan) -> None:
        for index in todo.start:
            spec = self._order.container_spec.spec
            self._pending[index] = Observed(f"#{index}", index, spec, Phase.STARTING)
            name = f"start of replica {index}"
            self._tasks.add(asyncio.create_task(self._started(index), name=name))

    def _remove(self, todo: Plan) -> None:
        for replica in self._known(todo.remove):
            undecided = replica.in_question or not replica.ended.done()
            if replica not in self._removing and not undecided:
                self._removing.add(replica)
                name = f"removal of {replica.name}"
                self._tasks.add(asyncio.create_task(self._removed(replica), name=name))

    def _admit(self, todo: Plan) -> list[Replica]:
        entering = self._known(todo.admit)
        if entering:
            self._store.admit(entering)
            self._store.changed.set()
        return entering

    @abstractmethod
    async def _prepare(self) -> None:
        """Make available what a start needs."""

    async def _started(self, index: int) -> None:
        try:
            await self._prepare()
            replica = await self._launcher.start(self._order.container_spec, index)
        finally:
            del self._pending[index]
        await self._until_ready(replica)

    async def _until_ready(self, replica: Replica) -> None:
        with self._waiting(replica):
            served, readiness = replica.served, self._order.readiness
            if served:
                readiness = readiness.again(SECOND_LOOK)
            began = asyncio.get_running_loop().time()
            try:
                await self._launcher.until_ready(replica, readiness)
                if not served:
                    self._ready(asyncio.get_running_loop().time() - began)
            except StartFailed as exc:
                if await self._is_used_anyway(replica):
                    return
                # Before its removal, which is a request, too.
                requested = await self._was_requested(replica)
                self._retire(replica, served)
                if requested:
                    raise _called_off(replica, exc.log_tail) from exc
                self._given_up(replica, exc, served)

    @contextmanager
    def _waiting(self, replica: Replica) -> Iterator[None]:
        """
        Wait for *replica* no longer once the block fails, for whatever reason.

        The next decision, which may be somebody else's, has it checked.
        """
        try:
            yield
        except BaseException:
            replica.stop_waiting()
            self._store.changed.set()
            raise

    @abstractmethod
    def _ready(self, took: float) -> None:
        """Note that a new replica took so many seconds to become ready."""

    async def _is_used_anyway(self, replica: Replica) -> bool:
        """Return whether *replica*, which is not healthy, is to serve all the same."""
        return False

    def _retire(self, replica: Replica, served: bool) -> None:
        """Retire *replica*, which is not ready; a death while it served is judged."""
        if served and replica.ended.done():
            # Its removal is a request, too, and has to come after the verdict.
            replica.stay()
            self._store.changed.set()
        else:
            self._drainer.begin([replica])

    async def _was_requested(self, replica: Replica) -> bool:
        """
        Return whether somebody else had the engine end or freeze *replica*.

        It may also have gone with the engine.
        """
        return False

    def _given_up(self, replica: Replica, exc: StartFailed, served: bool) -> None:
        """Handle that *replica* is not ready, or no more: it is leaving."""
        raise exc

    async def _removed(self, replica: Replica) -> None:
        try:
            await self._store.remove(replica)
        except EngineError as exc:
            log.warning(
                "Container not removed",
                extra=self._store.tell(replica, error=str(exc)),
            )
            await self._store.orphan(replica)
        finally:
            self._removing.discard(replica)

    async def _something_happened(self) -> None:
        """Wait for a task to end, for a change, or until patience is over."""
        await self._store.changed.since_or_done(
            self.known, self._tasks, self._patience()
        )
        done = {task for task in self._tasks if task.done()}
        self._tasks -= done
        for failure in [failure for task in done if (failure := task.exception())]:
            self._failed(failure)

    def _known(self, ids: Iterable[str]) -> list[Replica]:
        found = (self._store.get(each) for each in ids)
        return [replica for replica in found if replica is not None]


class Rollout(_Update):
    """
    Rollout that starts the replicas of a version beside those that serve.

    `run` returns once all of them serve; the old ones stay. A replica that fails, or
    dies after it was ready, ends the rollout.

    Args:
        progress: Told each step, for people.
    """

    def __init__(
        self,
        store: ReplicaStore,
        launcher: Launcher,
        drainer: Drainer,
        order: UpdateTarget,
        progress: Progress = lambda text: None,
    ) -> None:
        super().__init__(store, launcher, drainer, order)
        self._progress = progress
        self._admitted: list[Replica] = []

    async def _advance(self) -> bool:
        await self._refuse_deaths()
        todo = self._decide(self._order.desired)
        self._remove(todo)
        self._check(todo)
        self._start(todo)
        for replica in self._admit(todo):
            self._admitted.append(replica)
            self._tell(replica.seen.index, "is healthy")
        # What became healthy is why the next one may start.
        for index in todo.start:
            self._tell(index, "is starting")
        if todo.complete:
            self._refuse_unhealthy()
        return todo.complete

    def _refuse_unhealthy(self) -> None:
        unwell = [r for r in self._admitted if not r.health_tracker.healthy]
        wanted = self._order.desired.replicas
        if 2 * len(unwell) > wanted:
            raise StartFailed(
                f"{len(unwell)} of {wanted} replicas became unhealthy while others "
                f"were started: {unwell[0].problem}"
            )

    async def _prepare(self) -> None:
        """Do nothing: all was made available before the rollout began."""

    def _ready(self, took: float) -> None:
        """Do nothing: what counts is that all of them are ready."""

    def _tell(self, index: int, what: str) -> None:
        self._progress(f"replica {index + 1} of {self._order.desired.replicas} {what}")

    def _failed(self, exc: BaseException) -> None:
        raise exc

    async def _was_requested(self, replica: Replica) -> bool:
        if replica.container.state == "paused":
            return True
        if not replica.ended.done() or replica.container.oom_killed:
            return False
        return replica.unseen or await self._store.asked_to_end(
            replica, replica.exit_code
        )

    def _given_up(self, replica: Replica, exc: StartFailed, served: bool) -> None:
        # Only a change of its network, or a pause, has it checked a second time.
        host = exc.host or (served and not replica.ended.done())
        raise StartFailed(str(exc), log_tail=exc.log_tail, host=host) from exc

    async def _refuse_deaths(self) -> None:
        dead = [r for r in self._admitted if r.ended.done() and r.phase is Phase.GONE]
        if dead:
            tail = await self._store.tail(dead[0].id)
            if await self._was_requested(dead[0]):
                raise _called_off(dead[0], tail)
            code = dead[0].exit_code
            how = "" if code is None else f" with exit status {code}"
            raise StartFailed(
                f"replica {dead[0].name} ended{how} while others were started",
                log_tail=tail,
            )


@dataclass(frozen=True, slots=True)
class Circumstances:
    """
    Circumstances that healing has to take into account.

    Attributes:
        apart: Returns the fingerprint of a rollout under way.

        stale: Returns whether the desired state has changed, so that healing ends.

        held: Returns whether a death is being judged, which may lead to another
            version: nothing is started or removed meanwhile.

        pacing: Pacing of the starts of replicas.

        told: Called with one line on why replicas are missing and a program's own
            words, and with "" once none are.

        prepare: Makes available what a start needs: the image.

        observe: Called before each decision.

        ready: Called with the seconds that a new replica took to become ready.

        idle: Called when nothing can be done until something changes: all replicas
            serve, or what is missing is paused in the engine.
    """

    apart: Callable[[], str | None] = lambda: None
    stale: Callable[[], bool] = lambda: False
    held: Callable[[], bool] = lambda: False
    pacing: Pacing = field(default_factory=Pacing)
    told: Callable[[str, str], None] = lambda problem, detail: None
    prepare: Callable[[], Awaitable[None]] | None = None
    observe: Callable[[], None] = lambda: None
    ready: Callable[[float], None] = lambda took: None
    idle: Callable[[], None] = lambda: None


class Healing(_Update):
    """
    Healing that keeps the running version at strength, and does nothing else.

    `run` returns once that is so. A replica that fails holds up none of the others.
    """

    def __init__(
        self,
        store: ReplicaStore,
        launcher: Launcher,
        drainer: Drainer,
        order: UpdateTarget,
        given: Circumstances,
    ) -> None:
        super().__init__(store, launcher, drainer, order)
        self._given = given
        self._preparing = asyncio.Lock()
        self._paced = False

    async def _advance(self) -> bool:
        given, self._paced = self._given, False
        if given.stale():
            return True
        given.observe()
        todo = self._decide(replace(self._order.desired, apart=given.apart()))
        self._admit(todo)
        self._check(todo)
        if given.held():
            return False
        self._remove(todo)
        self._paced = given.pacing.left > 0
        if not self._paced:
            self._start(todo)
        if leaving := self._known(todo.leave):
            self._drainer.begin(leaving)
            self._store.changed.set()
        if todo.complete:
            given.pacing.succeeded()
            given.told("", "")
        idle = todo.idle and not self._tasks
        if idle:
            given.idle()
        return todo.complete and idle

    def _patience(self) -> float | None:
        # The pause may have ended since the decision: nothing else would end the wait.
        return self._given.pacing.left if self._paced else None

    def _failed(self, exc: BaseException) -> None:
        if not isinstance(exc, DewyError | OSError):
            raise exc
        self._given.pacing.failed()
        self._given.told(summary(exc), detail_of(exc))

    async def _prepare(self) -> None:
        if self._given.prepare is not None:
            async with self._preparing:
                await self._given.prepare()

    def _ready(self, took: float) -> None:
        self._given.ready(took)

    async def _is_used_anyway(self, replica: Replica) -> bool:
        """Use what accepts connections while nothing serves at all."""
        if self._store.serving or replica.ended.done():
            return False
        check = self._order.readiness.check
        try:
            async with asyncio.timeout(check.timeout):
                found = await self._launcher.reach(replica, replace(check, path=""))
        except (TimeoutError, EngineError):
            found = None
        if found is None or replica.phase is not Phase.STARTING:
            return False
        replica.ready(found)
        self._store.use_anyway(replica)
        return True

    def _given_up(self, replica: Replica, exc: StartFailed, served: bool) -> None:
        if not served:
            raise exc
        told = self._store.tell(replica, error=detailed(exc))
        log.warning("Replica is lost, another takes its place", extra=told)


def _called_off(replica: Replica, tail: Sequence[str]) -> StartFailed:
    """Return the failure of a start that somebody, or the engine, prevented."""
    paused = replica.container.state == "paused"
    what = "paused" if paused else "stopped or removed"
    text = f"replica {replica.name} was {what} while it was deployed"
    if replica.unseen:
        text = f"replica {replica.name} ended while the engine was away"
    return StartFailed(text, log_tail=tail, host=True)
