"""Health checks of the serving replicas, and the consequences of their results."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from ..errors import EngineError
from ..proxy.backend import Outcomes, too_broken
from .deployer import ContainerDeployer, Succession
from .replica import Replica
from .rollout import Phase

__all__ = ["HealthKeeper"]

log = logging.getLogger(__name__)

LONGEST_ROW = 4
"""Replacements in a row after which the interval between two stops growing."""

LOOKS = 10
"""
Minimum number of checks within a probation, which could end before them otherwise.
"""

UNHEALTHY, BROKE = "failed its health checks", "broke connections"

Judge = Callable[[Replica, str, tuple[str, ...], str], Awaitable[None]]


class HealthKeeper:
    """
    Health checker that ejects, restores and replaces serving replicas.

    Args:
        judge: Called, as after a death, when most replicas of one kind are unhealthy or
            break connections.

        told: Called with one line on why no replica is healthy; with "" once one is.

        on_probation: Returns whether the running version is on probation, which calls
            for frequent checks.
    """

    def __init__(
        self,
        deployer: ContainerDeployer,
        judge: Judge,
        told: Callable[[str], None],
        on_probation: Callable[[], bool],
    ) -> None:
        self._deployer = deployer
        self._store = deployer.store
        self._judge = judge
        self._told = told
        self._on_probation = on_probation
        self._looks: dict[Replica, asyncio.Task[None]] = {}
        # Verdicts under way: what is put back may have to be pulled first.
        self._verdicts: set[asyncio.Task[None]] = set()
        self._replaced = 0.0  # time of the last replacement, by the loop's clock
        self._judged: Succession | None = None
        self._row = 0  # replacements since all replicas were healthy

    async def run(self) -> None:
        """
        Check all replicas again and again; a silent one delays none of the others.
        """
        try:
            while True:
                await asyncio.sleep(self._interval)
                for replica in self._store.serving:
                    if replica not in self._looks:
                        self._begin(replica)
                self._replace_unhealthy()
                self._judge_figures()
        finally:
            for task in (tasks := [*self._looks.values(), *self._verdicts]):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _interval(self) -> float:
        settings = self._deployer.settings
        if self._on_probation():
            return min(settings.health_interval, settings.probation / LOOKS)
        return settings.health_interval

    def undecided(self) -> bool:
        """
        Return whether a verdict is under way, or most replicas have begun a row of bad
        answers, or none is healthy.
        """
        serving = self._store.serving
        if serving and not any(r.health_tracker.healthy for r in serving):
            return True
        open_rows = [
            r for r in serving if r.health_tracker.healthy and r.health_tracker.row
        ]
        return bool(self._verdicts) or 2 * len(open_rows) > len(serving)

    def _begin(self, replica: Replica) -> None:
        async def look() -> None:
            try:
                with suppress(EngineError):
                    await self._look_at(replica)
            except Exception:
                log.exception("Health check ran into a fault of dewy")
            finally:
                del self._looks[replica]

        name = f"health of {replica.name}"
        self._looks[replica] = asyncio.create_task(look(), name=name)

    async def ask(self, replica: Replica) -> bool:
        """Return whether *replica* answers; move it if only another way reaches it."""
        check = wanted = self._deployer.readiness.check
        if self._on_probation():
            check = replace(check, timeout=min(check.timeout, self._interval))
        route = await self._deployer.launcher.ask(replica, check)
        if route is None:
            return False
        self._deployer.answered(replica, wanted)
        if replica.phase is Phase.SERVING and route != replica.upstream:
            log.info("Replica is reached differently", extra=self._store.tell(replica))
            self._store.table.move(replica, route)
        return True

    async def _look_at(self, replica: Replica) -> None:
        good = await self.ask(replica)
        if not good and replica.last_check and replica.last_check.unasked:
            return
        if replica.dead.is_set() or replica.phase is not Phase.SERVING:
            # What becomes of it is not a matter of health any more.
            return
        if good and not replica.health_tracker.healthy:
            # Its address may have been given to another container by now.
            good = await self._store.look_at(replica.id) is replica
        settings = self._deployer.settings
        if replica.judge(good, settings.health_rise, settings.health_fall):
            self._changed(replica)

    def _changed(self, replica: Replica) -> None:
        if replica.health_tracker.healthy:
            log.info("Replica is healthy again", extra=self._store.tell(replica))
            self._store.table.restore(replica)
            return
        told = self._store.tell(replica, error=replica.problem)
        log.warning("Replica is unhealthy", extra=told)
        self._store.table.eject(replica)
        if not self._healthy():
            self._told(f"{replica.name}: {replica.problem}")
        self._judge_all(replica)

    def _judge_all(self, replica: Replica) -> None:
        """
        Have the version judged if most of its replicas are unhealthy.

        A check that none has ever passed, as after a reload, tells of itself.
        """
        if not self._deployer.proven.passed(self._deployer.check):
            return
        alike = [each for each in self._store.serving if each.spec == replica.spec]
        unwell = [each for each in alike if not each.health_tracker.healthy]
        if 2 * len(unwell) > len(alike):
            how = f"{len(unwell)} of {len(alike)} replicas are unhealthy"
            self._begin_verdict(replica, f"{how}: {replica.problem}", UNHEALTHY)

    def _judge_figures(self) -> None:
        """
        Have the version judged if it breaks far more connections than the last one.
        """
        settings, succession = self._deployer.settings, self._deployer.succession
        if settings.max_broken is None or succession in (None, self._judged):
            return
        assert succession is not None
        new = [r for r in self._store.replicas if r.spec == succession.spec]
        found = Outcomes.total(each.outcomes for each in new)
        if too_broken(found, succession.before, settings.max_broken):
            self._judged = succession
            how = f"{found.broken} of {found.connections} connections"
            self._begin_verdict(new[0], how, BROKE)

    def _begin_verdict(self, replica: Replica, how: str, verb: str) -> None:
        """Have the version of *replica* judged, which holds up no health check."""

        async def judge() -> None:
            try:
                tail = await self._store.tail(replica.id)
                await self._judge(replica, how, tail, verb)
            except Exception:
                log.exception("Verdict ran into a fault of dewy")

        name = f"verdict on {replica.name}"
        task = asyncio.create_task(judge(), name=name)
        self._verdicts.add(task)
        task.add_done_callback(self._verdicts.discard)

    def _healthy(self) -> list[Replica]:
        return [r for r in self._store.serving if r.health_tracker.healthy]

    def _replace_unhealthy(self) -> None:
        """
        Replace one replica that stays unhealthy, if nothing is under way.

        The last ones left are kept: while none is healthy, something else is wrong.
        """
        serving, healthy = self._store.serving, self._healthy()
        if healthy:
            self._told("")
        if len(healthy) == len(serving):
            self._row = 0
            return
        if not healthy or len(serving) < self._deployer.settings.replicas:
            return
        if replica := self._overdue(serving):
            told = self._store.tell(replica, error=replica.problem)
            log.warning("Replica stays unhealthy and is replaced", extra=told)
            self._row = min(self._row + 1, LONGEST_ROW)
            self._replaced = asyncio.get_running_loop().time()
            self._deployer.drainer.begin([replica])
            self._store.changed.set()

    def _overdue(self, serving: list[Replica]) -> Replica | None:
        """Return the replica to replace now; intervals grow if that does not help."""
        now, patience = (
            asyncio.get_running_loop().time(),
            self._deployer.settings.health_restart,
        )
        pause = patience * 2**self._row if self._row else 0.0
        if not patience or now < self._replaced + pause:
            return None
        unwell = [
            (each.unhealthy_since, each.name, each)
            for each in serving
            if each.unhealthy_since is not None
            and now >= each.unhealthy_since + patience
        ]
        return min(unwell)[2] if unwell else None
