"""
What keeps the replicas as they are to be, by itself: events, looks, replacements.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

from ..errors import DewyError, EngineError
from ..logs import summary
from ..proxy import Backend
from ..supervisor.backoff import Backoff
from .deployer import ContainerDeployer
from .model import Event
from .replica import Replica
from .rollout import Phase
from .terminations import Termination
from .upstream import PUBLISHED

__all__ = ["Reconciler"]

log = logging.getLogger(__name__)

FIRST_LOOK = 15.0
"""Seconds for which the first answer of the registry is waited for before any
replica is replaced: what a dewy left half done may be finished then."""

LOOKS = 30.0  # seconds between two relists, when nothing happens
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
OVER = frozenset({"die", "destroy", "remove"})

Died = Callable[[Replica, str, tuple[str, ...]], Awaitable[bool]]


class Reconciler:
    """
    Watches over the replicas while entered.

    Args:
        died: Told of a replica that ended by itself, how, and its last lines.
            It may have another release run from now on; True says that it did.
            Not told of those that ended while the engine was away: when it
            restarts it may take them along, which says nothing about them.

        troubled: Told in one line why replicas are missing; "" once none are.
    """

    def __init__(
        self,
        deployer: ContainerDeployer,
        died: Died,
        troubled: Callable[[str], None],
    ) -> None:
        self._deployer = deployer
        self._store = deployer.store
        self._died = died
        self._troubled = troubled
        self._looked = asyncio.Event()
        self._again = asyncio.Event()
        self._polls_well = True
        self._tried = asyncio.Event()
        self._deaths: asyncio.Queue[tuple[Replica, bool]] = asyncio.Queue()
        self._undecided = 0
        self._linked = True
        self._away = False
        self._tasks: list[asyncio.Task[None]] = []
        self._backoff = Backoff()
        self._pause = 0.0
        self._counted = 0.0  # when the last death was, by the loop's clock
        self._known = 0
        self.problem = ""

    async def __aenter__(self) -> Self:
        self._store.died = self._mourn
        bodies = {
            "engine events": self._watch,
            "replica deaths": self._answer_deaths,
            "replicas": self._keep,
            "replica health": self._examine,
        }
        self._tasks = [
            asyncio.create_task(_on_and_on(body, name), name=name)
            for name, body in bodies.items()
        ]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def registry_answered(self, *, well: bool = True) -> None:
        """
        Note that the registry was asked once, and whether the poll went *well*.

        The first good poll after bad ones has missing replicas started at once: their
        images may be had again.
        """
        self._looked.set()
        if well and not self._polls_well:
            self._again.set()
        self._polls_well = well

    async def begun(self) -> None:
        """Return once what an earlier dewy left serves, or was tried to be had."""
        await self._tried.wait()

    async def probe(self, backend: Backend) -> bool:
        """
        Whether a suspected *backend* is to be used again.

        An inspection has to show that very run of the container, and it has to
        answer; a probe alone could be answered by whoever has its address now.
        """
        replica = self._store.by_backend(backend)
        if replica is None:
            return True
        if replica.upstream is not None and replica.upstream.route == PUBLISHED:
            # What publishes it takes connections for it, dead or alive.
            backend.eject()
        try:
            if await self._store.look_at(replica.id) is not replica:
                return True
            return await self._ask(replica) and replica.health_tracker.healthy
        except EngineError as exc:
            log.debug("Replica not inspected", extra={"error": str(exc)})
            return False

    async def _watch(self) -> None:
        selector = self._store.application.selector
        async with self._store.engine.events(selector) as events:
            async for event in events:
                with suppress(EngineError):
                    await self._heed(event)

    async def _heed(self, event: Event) -> None:
        if event.action == "lost":
            self._linked, self._away = False, True
            return
        if event.action == "connected":
            try:
                await self._store.observe()
                self._away = False
            finally:
                self._linked = True
            return
        replica = self._store.get(event.id)
        if event.action in OVER and replica is not None:
            code = int(event.detail) if event.detail.lstrip("-").isdigit() else None
            # Out of the table first, before its address is another's.
            self._store.lose(replica, code)
        elif event.action == "disconnect" and replica is not None:
            self._store.recheck(replica)
            await self._store.look_at(event.id)
        elif event.action == "start" or (replica is None and event.id):
            await self._store.look_at(event.id)

    def _mourn(self, replica: Replica) -> None:
        self._undecided += 1
        self._deaths.put_nowait((replica, self._away))

    async def _answer_deaths(self) -> None:
        while True:
            replica, away = await self._deaths.get()
            try:
                await self._answer(replica, away)
            finally:
                self._undecided -= 1
                self._deaths.task_done()
                self._store.changed.set()

    async def _answer(self, replica: Replica, away: bool) -> None:
        # At once: its last lines go when it is removed, and so does why it ended.
        tail = await self._store.tail(replica.id)
        away = not await self._inspected(replica) or away
        code = replica.ended.result()
        end = replica.termination or Termination.of(replica.container, code)
        told = self._store.tell(
            replica, exit_code=code, reason=end.reason, engine_away=away
        )
        log.warning("Replica died", extra=told)
        if away:
            return
        self._count(replica)
        how = f"replica {replica.name}: {end.how}"
        async with self._deployer.switching:
            moved = await self._died(replica, how, tail)
        if moved:
            # What is started now is not what keeps dying.
            self._backoff, self._pause = Backoff(), 0.0

    async def _inspected(self, replica: Replica) -> bool:
        try:
            await self._store.look_at(replica.id)
        except EngineError:
            return False
        return True

    def _count(self, replica: Replica) -> None:
        """Have replacements wait, unless others died with it: that is one death."""
        now = asyncio.get_running_loop().time()
        if replica.since < self._counted:
            return
        self._counted = now
        self._backoff = self._backoff.died(now - replica.since)
        self._pause = self._backoff.delay

    async def _keep(self) -> None:
        if self._store.serving:
            self._tried.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK):
                    await self._looked.wait()
        failures = 0
        while True:
            # The verdict on a death comes first: it may have another version run.
            await self._deaths.join()
            pause, self._pause = self._pause, 0.0
            await asyncio.sleep(pause)
            self._again.clear()
            failures = await self._reconcile(failures)
            self._tried.set()
            pause = min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE)
            if failures:
                failures = 0 if await self._again_within(pause) else failures
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKS):
                    await self._store.changed.since(self._known)

    async def _again_within(self, seconds: float) -> bool:
        """Wait *seconds*, or until a poll says that more may be had than before."""
        try:
            async with asyncio.timeout(seconds):
                await self._again.wait()
        except TimeoutError:
            return False
        return True

    async def _reconcile(self, failures: int) -> int:
        """Once; how many failures there were in a row."""
        try:
            self._known = await self._deployer.reconcile(lambda: self._undecided > 0)
        except (DewyError, OSError) as exc:
            self._say(summary(exc))
            return failures + 1
        except Exception as exc:
            log.exception("Keeping replicas ran into a fault of dewy")
            self._say(summary(exc))
            return failures + 1
        # Whoever ended while the engine was away has been found.
        self._away = not self._linked
        self._say("")
        return 0

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.error("Replicas are missing", extra={"error": problem})
        elif self.problem and not problem:
            log.info("Replicas are complete again")
        if problem != self.problem:
            self.problem = problem
            self._troubled(problem)

    async def _examine(self) -> None:
        while True:
            await asyncio.sleep(self._deployer.settings.health_interval)
            async with asyncio.TaskGroup() as group:
                for replica in self._store.serving:
                    group.create_task(
                        self._look_at(replica), name=f"health of {replica.name}"
                    )

    async def _look_at(self, replica: Replica) -> None:
        with suppress(EngineError):
            good = await self._ask(replica)
            if replica.dead.is_set():
                # What becomes of it is not a matter of health any more.
                return
            if good and not replica.health_tracker.healthy:
                # Somebody else may have its address by now.
                good = await self._store.look_at(replica.id) is replica
            before, replica.health_tracker = (
                replica.health_tracker,
                replica.health_tracker.after(good),
            )
            if before.healthy and not replica.health_tracker.healthy:
                log.warning(
                    "Replica is unhealthy",
                    extra=self._store.tell(replica, error=replica.problem),
                )
                self._store.table.eject(replica)
            elif replica.health_tracker.healthy and not before.healthy:
                log.info("Replica is healthy again", extra=self._store.tell(replica))
                self._store.table.restore(replica)

    async def _ask(self, replica: Replica) -> bool:
        """Whether it answers; by another way than so far, it is moved there."""
        check = self._deployer.readiness.check
        route = await self._deployer.launcher.ask(replica, check)
        if route is None:
            return False
        if replica.phase is Phase.SERVING and route != replica.upstream:
            log.info("Replica is reached otherwise", extra=self._store.tell(replica))
            self._store.table.move(replica, route)
        return True


async def _on_and_on(body: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run *body*, which never returns, again whenever a fault of ours ended it."""
    while True:
        try:
            await body()
        except Exception:
            log.exception("Keeping replicas ran into a fault", extra={"part": name})
        await asyncio.sleep(FIRST_PAUSE)
