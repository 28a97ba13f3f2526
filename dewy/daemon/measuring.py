"""Where the figures of a dewy come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..admin.online import Online
from ..deploy.progress import Shown
from ..distribution import Distribution
from ..registries import Registry
from ..release import Deployment, Release
from ..remotes.traffic import TRAFFIC
from ..system import Clock
from ..telemetry.build import build
from ..telemetry.instruments import LOOK_BOUNDS
from ..telemetry.opening import Telemetry
from ..telemetry.points import Point, Source
from ..telemetry.proxied import proxied
from .deployments import Deployments

if TYPE_CHECKING:
    from ..containers.crew import Crew
    from ..supervisor.generations import Generations

__all__ = ["measure"]


def measure(telemetry: Telemetry, online: Online, progress: Shown) -> None:
    """Have *telemetry* know all about *online* from now on."""
    agent = online.agent
    command, chronicle = agent.settings.command, agent.chronicle
    deployments = Deployments(command, agent.clock, telemetry.deployed)
    chronicle.recorded.append(deployments.recorded)
    chronicle.over.append(deployments.over)
    timed = agent.registry = Timed(agent.registry, agent.clock)
    telemetry.watch(
        [
            Source(build),
            Source(deployments.read),
            Source(lambda: _polling(online, timed, progress)),
            Source(lambda: _release(online)),
        ]
    )
    if online.generations is not None:
        generations = online.generations
        telemetry.watch([Source(lambda: _server(generations, deployments))])
    if online.crew is not None:
        from .inventory import Inventory

        crew = online.crew
        inventory = Inventory(crew)
        telemetry.watch(
            [
                proxied(lambda: crew.table.ports),
                Source(lambda: _replicas(crew)),
                Source(inventory.read, inventory.ask),
            ]
        )


class Timed:
    """A registry, and how long it takes to answer."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self.looks = Distribution(LOOK_BOUNDS)

    async def current(self, tag: str | None = None) -> Release:
        begun = self._clock.monotonic()
        try:
            return await self._registry.current(tag)
        finally:
            self.looks.add(self._clock.monotonic() - begun)

    async def report(self, deployment: Deployment) -> None:
        await self._registry.report(deployment)


def _polling(online: Online, timed: Timed, progress: Shown) -> Iterator[Point]:
    poller = online.poller
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


def _release(online: Online) -> Iterator[Point]:
    agent = online.agent
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
    yield Point("dewy.release.up", int(generations.alive))
    for state in ("starting", "serving", "draining"):
        yield Point("dewy.server.generations", states[state], (state,))
    yield Point("dewy.server.deaths.total", generations.deaths)
    yield Point("dewy.server.restarts.total", deployments.again, ("deploy",))
    yield Point("dewy.server.restarts.total", generations.restarts, ("signal",))
    yield Point("dewy.drain.duration", generations.drains, ("server",))
    yield Point("dewy.healthchecks.total", generations.checks.made)
    yield Point("dewy.healthchecks.failures.total", generations.checks.failed)


def _replicas(crew: Crew) -> Iterator[Point]:
    checks = crew.deployer.starter.checks
    yield Point("dewy.release.up", int(bool(crew.deployer.fleet.serving)))
    yield Point("dewy.drain.duration", crew.retirement.drains, ("container",))
    yield Point("dewy.healthchecks.total", checks.made)
    yield Point("dewy.healthchecks.failures.total", checks.failed)
