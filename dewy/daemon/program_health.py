"""Health checks of a program that has already taken over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..agent import Agent
from ..config import Endpoint
from ..containers.health import HealthCheck, HealthTracker
from ..errors import DeploymentError, RestartCalledOff
from ..logs import detailed
from ..notifiers import NoticeKind
from ..supervisor.generations import Generations
from ..supervisor.worker import Worker

__all__ = ["ProgramHealth"]

log = logging.getLogger(__name__)

LOOKS = 10
"""
Minimum number of checks within a probation, which could end before them otherwise.
"""

FAILED = "failed its health checks"

LEAVING = 2.0
"""Seconds after its SIGTERM in which a generation may still accept connections."""


class ProgramHealth:
    """
    Health checker of the serving generation, which acts on a row of bad answers.

    Within probation a row is a failure like a death. Later it is reported, and so is
    its end; the only generation there is is not restarted.

    Args:
        endpoint: Returns the address to check.
    """

    def __init__(
        self, agent: Agent, generations: Generations, endpoint: Endpoint
    ) -> None:
        self._agent = agent
        self._generations = generations
        self._endpoint = endpoint
        settings = agent.settings
        self._path = settings.health_path
        self._check = HealthCheck(settings.health_path, host=settings.health_host)
        self._rise, self._fall = settings.health_rise, settings.health_fall
        self._tracker = HealthTracker()
        self._worker: Worker | None = None
        self._condemned: Worker | None = None
        self._told = False

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Check for as long as this is entered."""
        task = asyncio.create_task(self._watch(), name="health checks")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.look()
            except Exception:
                # An internal fault must not end the supervision of a program.
                log.exception("Health check ran into a fault of dewy")

    @property
    def _interval(self) -> float:
        settings = self._agent.settings
        if self._agent.probation.left:
            return min(settings.health_interval, settings.probation / LOOKS)
        return settings.health_interval

    async def look(self) -> None:
        """Check once, unless nothing serves or another generation may answer."""
        worker = self._asked()
        if worker is None:
            return
        if worker is self._condemned:
            return await self._replace(worker)
        result = await self._check.ask([self._endpoint])
        if worker is not self._asked() or result.unasked:
            return
        if result.problem and self._may_be_others():
            return
        problem = result.problem
        if not problem:
            self._generations.serves(worker)
        self._generations.checks.count(not problem)
        if worker is not self._worker:
            self._worker, self._tracker = worker, HealthTracker()
        before = self._tracker
        self._tracker = before.after(not problem, self._rise, self._fall)
        worker.checked(result, healthy=self._tracker.healthy)
        if before.healthy and not self._tracker.healthy:
            await self._failed(worker, problem)
        elif self._told and self._tracker.healthy and not problem:
            self._recovered()

    def _asked(self) -> Worker | None:
        generations = self._generations
        worker, workers = generations.serving, generations.workers
        # One that gave no answer in time is asked, too: it may be sick, not slow.
        starting = {each for each in workers if workers[each] == "starting"}
        starting.discard(generations.first_answer.missed)
        return worker if worker and worker.alive and not starting else None

    def _may_be_others(self) -> bool:
        """Return whether one that has just been told to end may have answered."""
        return any(
            state == "draining" and each.loop.time() - each.terminated_at < LEAVING
            for each, state in self._generations.workers.items()
        )

    async def _failed(self, worker: Worker, problem: str) -> None:
        fields = {"generation": worker.generation, "error": problem}
        log.error("Program is unhealthy", extra=fields)
        if await self._agent.judge(problem, worker.tail, FAILED):
            self._condemned = worker
            return await self._replace(worker)
        running = self._agent.state.running
        name = running.name if running else "the program"
        self._told = True
        self._agent.deployment_log.tell(
            NoticeKind.ERROR, f"{name} is unhealthy: {problem}; it is left running"
        )

    async def _replace(self, worker: Worker) -> None:
        """Start the release returned to beside *worker*, which serves until then."""
        if self._generations.deploying.locked():
            # What is being deployed may replace it; else the next look does.
            return
        try:
            await self._generations.restart(checked=False)
        except RestartCalledOff as exc:
            log.info("Restart called off", extra={"why": str(exc)})
        except DeploymentError as exc:
            fields = {"generation": worker.generation, "error": detailed(exc)}
            log.error("Unhealthy program not replaced yet", extra=fields)
        else:
            self._condemned = None

    def _recovered(self) -> None:
        self._told = False
        running = self._agent.state.running
        name = running.name if running else "the program"
        log.info("Program is healthy again")
        self._agent.deployment_log.tell(NoticeKind.RECOVERY, f"{name} is healthy again")
