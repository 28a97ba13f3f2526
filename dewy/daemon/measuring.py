"""Sources of a dewy's figures: its deployments, program, replicas and proxy."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from ..admin.handlers import Handlers
from ..containers.application import VERSION, image_name, index_of
from ..containers.model import Container
from ..containers.replica_set import ReplicaSet
from ..containers.terminations import Termination, TerminationLog
from ..deploy.changes import Attempt
from ..deploy.progress import ProgressReporter
from ..errors import EngineError
from ..histogram import Histogram
from ..notifiers.pipeline import Pipeline
from ..remotes.http import TRAFFIC
from ..system import Clock
from ..telemetry.instruments import DEPLOYMENT_BOUNDS
from ..telemetry.model import Course, Step
from ..telemetry.opening import Telemetry
from ..telemetry.points import MetricSource, Point, build, proxied

if TYPE_CHECKING:
    from ..containers.replica_set import ReplicaSet
    from ..supervisor.generations import Generations

__all__ = ["Deployments", "Inventory", "measure"]

log = logging.getLogger(__name__)


def measure(
    telemetry: Telemetry, handlers: Handlers, progress: ProgressReporter
) -> None:
    """Make *telemetry* measure *handlers* from now on."""
    agent = handlers.agent
    command, deployment_log = agent.settings.command, agent.deployment_log
    deployments = Deployments(command, agent.clock, telemetry.deployed)
    deployment_log.recorded.append(deployments.recorded)
    deployment_log.over.append(deployments.over)
    telemetry.watch(
        [
            MetricSource(build),
            MetricSource(deployments.read),
            MetricSource(lambda: _polling(handlers, progress)),
            MetricSource(lambda: _release(handlers)),
            MetricSource(lambda: _notices(deployment_log.pipelines)),
        ]
    )
    if handlers.generations is not None:
        generations = handlers.generations
        telemetry.watch([MetricSource(lambda: _server(generations, deployments))])
    if handlers.replica_set is not None:
        replica_set = handlers.replica_set
        inventory = Inventory(replica_set)
        telemetry.watch(
            [
                proxied(lambda: replica_set.table.ports),
                MetricSource(lambda: _replicas(replica_set)),
                MetricSource(inventory.read, inventory.ask),
            ]
        )


def _polling(handlers: Handlers, progress: ProgressReporter) -> Iterator[Point]:
    poller = handlers.poller
    yield Point("dewy.polls.total", poller.polls)
    yield Point("dewy.polls.failures.total", poller.failed)
    yield Point("dewy.poll.duration", handlers.agent.looks)
    if poller.last_at is not None:
        yield Point("dewy.poll.last.timestamp", poller.last_at)
    yield Point("dewy.download.bytes", progress.fetched)
    for labels, count in TRAFFIC.requests.items():
        yield Point("dewy.remote.requests.total", count, labels)
    for host, left in TRAFFIC.remaining.items():
        yield Point("dewy.remote.ratelimit.remaining", left, (host,))


def _notices(pipelines: Sequence[Pipeline]) -> Iterator[Point]:
    for kind in sorted({each.kind for each in pipelines}):
        found = [each.health for each in pipelines if each.kind == kind]
        failing = sum(bool(each.problem) for each in found)
        yield Point("dewy.notifiers.failing", failing, (kind,))
        for outcome in ("delivered", "failed", "lost"):
            count = sum(getattr(each, outcome) for each in found)
            yield Point("dewy.notices.total", count, (kind, outcome))


def _release(handlers: Handlers) -> Iterator[Point]:
    agent = handlers.agent
    state, now = agent.state, agent.clock.wall()
    out = Counter(e.until is None for e in state.quarantine if e.blocks(now))
    yield Point("dewy.quarantine.versions", out[False], ("time",))
    yield Point("dewy.quarantine.versions", out[True], ("retry",))
    yield Point("dewy.held", int(state.hold))
    if state.running is not None:
        labels = (agent.settings.command, state.running.name)
        yield Point("dewy.release.info", 1, labels)
        yield Point("dewy.release.deployed.timestamp", state.since)


def _server(generations: Generations, deployments: Deployments) -> Iterator[Point]:
    states = Counter(generations.workers.values())
    yield Point("dewy.release.up", int(generations.alive and not generations.starts))
    for state in ("starting", "serving", "draining"):
        yield Point("dewy.server.generations", states[state], (state,))
    for reason, count in generations.deaths.by_reason.items():
        yield Point("dewy.server.deaths.total", count, (reason,))
    yield Point("dewy.server.restarts.total", deployments.again, ("deploy",))
    yield Point("dewy.server.restarts.total", generations.restarts, ("signal",))
    yield Point("dewy.drain.duration", generations.drains, ("server",))
    yield Point("dewy.healthchecks.total", generations.checks.made)
    yield Point("dewy.healthchecks.failures.total", generations.checks.failed)


def _replicas(replica_set: ReplicaSet) -> Iterator[Point]:
    checks = replica_set.deployer.launcher.checks
    yield Point("dewy.release.up", int(bool(replica_set.deployer.store.serving)))
    yield Point("dewy.drain.duration", replica_set.drainer.drains, ("container",))
    yield Point("dewy.healthchecks.total", checks.made)
    yield Point("dewy.healthchecks.failures.total", checks.failed)


class Deployments:
    """
    Observer of a deployment log.

    Args:
        tell: Called with the course of every deployment that is over.

    Attributes:
        again: Number of successful ones that replaced another.
    """

    def __init__(
        self, command: str, clock: Clock, tell: Callable[[Course], None]
    ) -> None:
        self._command = command
        self._clock = clock
        self._tell = tell
        self._durations = Histogram(DEPLOYMENT_BOUNDS)
        self._deployed = self._failed = self.again = 0
        self._rolled_back: Counter[str] = Counter()

    def recorded(self, attempt: Attempt) -> None:
        """Count *attempt*, whose outcome is known."""
        if attempt.outcome == "rolled back":
            self._rolled_back["probation"] += 1
        elif attempt.outcome != "deployed":
            self._failed += 1
        else:
            self.again += bool(attempt.previous)
            if attempt.action == "rollback":
                self._rolled_back["operator"] += 1
                return
            self._deployed += 1
            self._durations.add(self._clock.monotonic() - self._begun(attempt))

    def over(self, attempt: Attempt) -> None:
        """Report *attempt*, which is over."""
        # Steps are marked by a monotonic clock, but reported by the wall clock.
        epoch = self._clock.wall() - self._clock.monotonic()
        ends = [*attempt.marks, ("", self._clock.monotonic())]
        steps = tuple(
            Step(name, epoch + begun, epoch + ended)
            for (name, begun), (_, ended) in pairwise(ends)
            if name != "done"
        )
        if not steps:
            return
        self._tell(
            Course(
                attempt.action,
                self._command,
                attempt.target,
                attempt.previous,
                attempt.outcome,
                attempt.reason,
                steps,
            )
        )

    def read(self) -> Iterator[Point]:
        """Yield the points of the counters, as a source of figures."""
        label = (self._command,)
        yield Point("dewy.deployments.total", self._deployed, label)
        yield Point("dewy.deployment.duration", self._durations, label)
        yield Point("dewy.deployment.errors.total", self._failed, label)
        for reason in ("probation", "operator"):
            labels = (self._command, reason)
            yield Point("dewy.rollbacks.total", self._rolled_back[reason], labels)

    def _begun(self, attempt: Attempt) -> float:
        """Return when it began; the original does not count the pulling of an image."""
        if self._command != "container":
            return attempt.begun
        fetched = (at for step, at in attempt.marks if step == "before-hook")
        return next(fetched, attempt.begun)


PAUSE = 5.0
"""Seconds for which an answer of the engine is good enough."""

PATIENCE = 2.0
STATES = ("created", "running", "paused", "restarting", "exited", "dead")
ENDED = frozenset({"exited", "dead"})


class Inventory:
    """Inventory of the engine's containers, with its answers kept for a moment."""

    def __init__(self, replica_set: ReplicaSet) -> None:
        self._replica_set = replica_set
        self._store = replica_set.deployer.store
        self._containers: list[Container] | None = None
        self._asked: float | None = None
        self._asking = asyncio.Lock()

    async def ask(self) -> None:
        """Inspect all containers, unless that was done a moment ago."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._asked is not None and now - self._asked < PAUSE:
                return
            self._asked = now
            self._containers = None
            try:
                async with asyncio.timeout(PATIENCE):
                    selector = self._store.application.selector
                    found = await self._store.engine.containers(selector)
            except (EngineError, TimeoutError) as exc:
                log.debug("Containers not counted", extra={"error": str(exc)})
                return
            owned = self._store.application.owns
            self._containers = [each for each in found if owned(each)]

    def read(self) -> Iterator[Point]:
        """
        Yield points, as a source of figures; none of an engine that did not answer.
        """
        app = self._store.application.name
        wanted = self._replica_set.settings.replicas
        yield Point("dewy.container.desired_replicas", wanted, (app,))
        for reason, count in self._store.terminations.deaths.items():
            yield Point("dewy.container.deaths.total", count, (app, reason))
        if self._containers is None:
            return
        running = sum(each.running for each in self._containers)
        yield Point("dewy.container.replicas", running, (app,))
        for container in self._containers:
            yield from _of(container, app, self._store.terminations)
        for replica in self._store.serving:
            labels = _labels(replica.container, app)
            yield Point(
                "dewy.container.healthy", int(replica.health_tracker.healthy), labels
            )


def _labels(container: Container, app: str) -> tuple[str, ...]:
    index = index_of(container.labels)
    return app, container.name, str(index) if index >= 0 else ""


def _of(
    container: Container, app: str, terminations: TerminationLog
) -> Iterator[Point]:
    labels = _labels(container, app)
    version = container.labels.get(VERSION, "")
    index = index_of(container.labels)
    restarts = container.restarts + terminations.restarts(index, version)
    yield Point("dewy.container.info", 1, (*labels, image_name(container), version))
    yield Point("dewy.container.restarts", restarts, labels)
    for state in STATES:
        value = int(container.state == state)
        yield Point("dewy.container.status", value, (*labels, state))
    last = terminations.last(index)
    if container.state in ENDED:
        last = Termination.of(container, container.exit_code)
    if last is not None:
        if last.exit_code is not None:
            code = last.exit_code
            yield Point("dewy.container.last_terminated.exit_code", code, labels)
        yield Point("dewy.container.oom_killed", int(last.reason == "oom"), labels)
    if (started := _seconds(container.started_at)) is not None:
        yield Point("dewy.container.started.timestamp", started, labels)


def _seconds(text: str) -> float | None:
    """Return RFC 3339 as seconds since the epoch; None of zero or invalid times."""
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None
