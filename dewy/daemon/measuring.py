"""Sources of a dewy's figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..admin.handlers import Handlers
from ..deploy.progress import ProgressReporter
from ..histogram import Histogram
from ..notifiers.pipeline import Pipeline
from ..registries import Candidates, Registry, candidates_of
from ..release import Deployment, Release
from ..remotes.http_metrics import TRAFFIC
from ..system import Clock
from ..telemetry.build import build
from ..telemetry.instruments import LOOK_BOUNDS
from ..telemetry.opening import Telemetry
from ..telemetry.points import MetricSource, Point
from ..telemetry.proxied import proxied
from .deployments import Deployments

if TYPE_CHECKING:
    from ..containers.replica_set import ReplicaSet
    from ..supervisor.generations import Generations

__all__ = ["measure"]


def measure(
    telemetry: Telemetry, handlers: Handlers, progress: ProgressReporter
) -> None:
    """Make *telemetry* measure *handlers* from now on."""
    agent = handlers.agent
    command, deployment_log = agent.settings.command, agent.deployment_log
    deployments = Deployments(command, agent.clock, telemetry.deployed)
    deployment_log.recorded.append(deployments.recorded)
    deployment_log.over.append(deployments.over)
    timed = agent.registry = Timed(agent.registry, agent.clock)
    telemetry.watch(
        [
            MetricSource(build),
            MetricSource(deployments.read),
            MetricSource(lambda: _polling(handlers, timed, progress)),
            MetricSource(lambda: _release(handlers)),
            MetricSource(lambda: _notices(deployment_log.pipelines)),
        ]
    )
    if handlers.generations is not None:
        generations = handlers.generations
        telemetry.watch([MetricSource(lambda: _server(generations, deployments))])
    if handlers.replica_set is not None:
        from .inventory import Inventory

        replica_set = handlers.replica_set
        inventory = Inventory(replica_set)
        telemetry.watch(
            [
                proxied(lambda: replica_set.table.ports),
                MetricSource(lambda: _replicas(replica_set)),
                MetricSource(inventory.read, inventory.ask),
            ]
        )


class Timed:
    """Registry with the duration of its answers."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self.looks = Histogram(LOOK_BOUNDS)

    async def current(self, tag: str | None = None) -> Release:
        begun = self._clock.monotonic()
        try:
            return await self._registry.current(tag)
        finally:
            self.looks.add(self._clock.monotonic() - begun)

    async def candidates(self) -> Candidates:
        begun = self._clock.monotonic()
        try:
            return await candidates_of(self._registry)
        finally:
            self.looks.add(self._clock.monotonic() - begun)

    async def report(self, deployment: Deployment) -> None:
        await self._registry.report(deployment)


def _polling(
    handlers: Handlers, timed: Timed, progress: ProgressReporter
) -> Iterator[Point]:
    poller = handlers.poller
    yield Point("dewy.polls.total", poller.polls)
    yield Point("dewy.polls.failures.total", poller.failed)
    yield Point("dewy.poll.duration", timed.looks)
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
