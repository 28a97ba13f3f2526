"""Deployment of an image: its replicas take the place of those that serve."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from ..config import Reloadable, Settings
from ..deploy.deployer import Progress, Switch
from ..deploy.state import Installed
from ..errors import DeploymentError, DewyError, EngineError
from ..proxy.backend import Outcomes
from .container_spec import ContainerSpec, ContainerSpecs, Ensure
from .drainer import Drainer
from .health import HealthCheck
from .image_store import ImageStore
from .launcher import Launcher, ReadinessProbe
from .options.arguments import RunOptions
from .renewal import Renewal
from .replica import Replica
from .replica_store import ReplicaStore
from .restart_policy import Pacing, Proven
from .revision import ended
from .rollout import Desired, Phase, reconcile
from .update import Circumstances, Healing, Rollout, UpdateTarget
from .upstream import Upstream

__all__ = ["ContainerDeployer", "Succession", "is_of"]

log = logging.getLogger(__name__)

AT_STRENGTH = (Phase.SERVING, Phase.PAUSED)

Ask = Callable[[Replica, HealthCheck], Awaitable[Upstream | None]]
Groups = Sequence[Sequence[Replica]]

ADOPTION = 4.0
"""Limit in seconds of the whole adoption of replicas that an earlier dewy left."""

AT_HAND = 3.0
"""Seconds for the engine to tell whether an image is on this host."""

PULL_BACK = 30.0
"""Seconds to pull the image to go back to, before an older version is tried."""


@dataclass(frozen=True, slots=True)
class Succession:
    """
    Record that one version has taken over from another.

    Attributes:
        spec: Fingerprint of the new replicas.

        before: Figures of the old replicas, up to when they left.
    """

    spec: str
    before: Outcomes


@dataclass(slots=True)
class ContainerDeployer:
    """
    Deployer of images; a release is in place when all of its replicas serve.

    Attributes:
        reloadable, options: The settings, and the operator's options, in use.

        running: Returns the version that runs, according to the state.

        bad: Returns whether a version, by its tag and digest, is in quarantine.

        ensure: Returns the image of the running version, which is on this host from
            then on.

        succession: The last change of version, as long as its figures may be judged.

        renewal: The replacement of all replicas whose options have changed.

        pacing, spare_pacing: Pacing of starts by the newest specification, and by what
            worked last but is not the newest.

        proven: Specification and readiness probe that worked last.
    """

    store: ReplicaStore
    launcher: Launcher
    drainer: Drainer
    container_specs: ContainerSpecs
    image_store: ImageStore
    reloadable: Reloadable[Settings]
    options: Reloadable[RunOptions]
    running: Callable[[], Installed | None]
    bad: Callable[[str, str], bool]
    ensure: Ensure
    renewal: Renewal
    succession: Succession | None = None
    pacing: Pacing = field(default_factory=Pacing)
    spare_pacing: Pacing = field(default_factory=Pacing)
    proven: Proven = field(default_factory=Proven)
    _made: tuple[object, ContainerSpec] | None = field(default=None, init=False)
    _switch: _Switch | None = field(default=None, init=False)

    @property
    def settings(self) -> Settings:
        """Settings in use."""
        return self.reloadable.current

    @property
    def target(self) -> str | None:
        """Fingerprint of the version that is taking over at the moment, if any."""
        switch = self._switch
        return switch.container_spec.spec if switch and switch.container_spec else None

    async def alive(self) -> bool:
        return bool(self.store.serving)

    def achievement(self, again: bool) -> str:
        count = len(self.store.serving)
        return f"Container deployed: {count} of {self.settings.replicas} replicas"

    async def heal(self, running: Installed) -> None:
        """Make the reconciler, which does the healing, examine everything again."""
        self.look_again()

    def look_again(self) -> None:
        """Have everything examined again, on doubt or on renewed hope."""
        self.relent()
        self.store.doubts.set()
        self.store.changed.set()

    def relent(self) -> None:
        """Allow starts at once, for the cause of failures may be over."""
        self.pacing.relent()
        self.spare_pacing.relent()

    def start_afresh(self) -> None:
        """Forget deaths and failures: they say nothing of what is started now."""
        self.pacing.reset()
        self.spare_pacing.reset()

    def count_death(self, replica: Replica) -> None:
        """Count the death of *replica*, after which starts are held."""
        self.pacing.died(replica.since)
        self.spare_pacing.died(replica.since)

    async def at_hand(self, previous: Installed) -> bool:
        """Return whether the image of *previous* is on this host."""
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(AT_HAND):
                return await self.image_store.keep(previous) is not None
        return False

    async def put_back(self, previous: Installed) -> None:
        """
        Ensure the image of *previous*; the replicas follow the version in the state.

        Raises:
            DeploymentError: the image is not on this host and cannot be pulled soon.
        """
        try:
            async with asyncio.timeout(PULL_BACK):
                await self.image_store.ensure(previous)
        except TimeoutError as exc:
            text = f"no image of {previous.tag} within {PULL_BACK:g} s"
            raise DeploymentError(text, host=True) from exc
        except DewyError as exc:
            text = f"no image of {previous.tag}: {exc}"
            raise DeploymentError(text, host=True) from exc

    @asynccontextmanager
    async def switch(
        self, target: Installed, progress: Progress
    ) -> AsyncIterator[Switch]:
        switch = _Switch(self, target, progress)
        try:
            yield switch
            if switch.container_spec is not None:
                self._retire_others(switch.container_spec, switch.made_from)
        except BaseException:
            if switch.container_spec is not None:
                self._withdraw(switch.container_spec)
            raise
        finally:
            # From here on the reconciler does what is left to do.
            if self._switch is switch:
                # The next change does not wait for a long undo.
                self._switch = None
            self.store.changed.set()

    def _leave_to(self, switch: _Switch) -> None:
        """Leave the replicas of a version to its *switch* from now on."""
        self._switch = switch
        self.store.changed.set()

    async def reconcile(self, given: Circumstances | None = None) -> int:
        """
        Bring the running version to the wanted number of replicas; retire others.

        Replicas of a version that is taking over are left alone. The work ends early
        once the desired state changes. Return the count of the last change of the store
        that was taken into account.

        Raises:
            DewyError: the container specification is unknown, or the image of the
                running version is not available.
        """
        known = self.store.changed.count
        running = self.running()
        if running is None:
            self._clear()
            return known
        wanted = self.wanted()
        newest = await self._specified(running)
        if newest is None:
            return known
        (chosen, probe), given = self._chosen(newest), given or Circumstances()

        def stale() -> bool:
            changed = wanted != self.wanted() or self._chosen(newest) != (chosen, probe)
            return changed or self.target in (newest.spec, chosen.spec)

        def observe() -> None:
            serving = [r for r in self.store.serving if is_of(r, running)]
            self.renewal.observe(newest, serving, self.settings.replicas)
            if len(serving) >= self.settings.replicas:
                self.spare_pacing.relent()

        def told(problem: str, detail: str) -> None:
            if not problem:
                self.proven.worked(chosen)
            elif self.proven.failed(chosen, probe):
                self.store.changed.set()
            if chosen is newest:
                self.renewal.failed(problem, detail)
                given.told(problem, detail)

        async def prepare() -> None:
            await self.ensure(running)
            await self.launcher.ensure_network(chosen)

        if stale():
            return known
        heeded = replace(
            given,
            apart=lambda: self.target,
            stale=stale,
            observe=observe,
            told=told,
            pacing=given.pacing if chosen is newest else self.spare_pacing,
            prepare=prepare,
            ready=lambda took: self.proven.ready(probe, self.readiness, took),
        )
        order = replace(self._order(chosen), readiness=probe)
        healing = Healing(self.store, self.launcher, self.drainer, order, heeded)
        await healing.run()
        return known if stale() else healing.known

    def _chosen(self, newest: ContainerSpec) -> tuple[ContainerSpec, ReadinessProbe]:
        """Return the specification and the readiness probe to heal by."""
        there = [r for r in self.store.replicas if r.phase in AT_STRENGTH]
        missing = len(there) < self.settings.replicas
        return (
            self.proven.spec_for(newest, missing=missing),
            self.proven.probe_for(self.readiness, missing=missing),
        )

    def answered(self, replica: Replica, check: HealthCheck) -> None:
        """Note that *replica* passed *check*."""
        running = self.running()
        if running is not None and is_of(replica, running):
            self.proven.answered(check, self.readiness)

    async def _specified(self, running: Installed) -> ContainerSpec | None:
        """
        Return the specification of *running*; None once the desired state changes.

        The engine is asked once, and the image may have to be pulled.
        """
        wanted = self.wanted()
        if self._made is not None and self._made[0] == wanted:
            return self._made[1]
        making = asyncio.create_task(self._specify(running), name="container spec")
        try:
            while not making.done() and wanted == self.wanted():
                known = self.store.changed.count
                await self.store.changed.since_or_done(known, {making})
            if wanted != self.wanted():
                return None
            self._made = wanted, making.result()
            return self._made[1]
        finally:
            await ended({making})

    async def _specify(self, running: Installed) -> ContainerSpec:
        return self.container_specs.of(running, await self.ensure(running))

    def wanted(self) -> tuple[object, ...]:
        """Return the part of the desired state that the store does not show."""
        return self.running(), *self._given()

    def _given(self) -> tuple[object, ...]:
        """Return what an operator has given, from which specifications are made."""
        return self.settings, self.options.current

    async def adopt(self, running: Installed | None) -> None:
        """
        Put the replicas that an earlier dewy, or the original, left into service.

        Replicas of *running* are preferred; if there are none, all are adopted rather
        than leaving nothing to serve. Each has to answer once, unless none does: then
        those that accept connections serve. Nothing is started or ended.

        Raises:
            EngineError: the engine does not answer.
        """
        await self.store.observe()
        self.store.claim()
        left = [
            each
            for each in self.store.replicas
            # Bad replicas are better than none until the previous version serves again.
            if each.phase is Phase.UNCHECKED and (running or not self._is_bad(each))
        ]
        preferred = [r for r in left if running and is_of(r, running)]
        # No port is served, and no command answered, before this has come to an end.
        end = asyncio.get_running_loop().time() + ADOPTION
        await self._welcome((preferred, left), end - ADOPTION / 4)
        if not self.store.serving:
            await self._use_anyway((preferred, left), end)
        if left:
            log.info(
                "Adopted containers",
                extra={"found": len(left), "serving": len(self.store.serving)},
            )

    def _is_bad(self, replica: Replica) -> bool:
        return self.bad(replica.version, replica.digest)

    def _clear(self) -> None:
        """Retire what is left of versions that failed before anything ran."""
        left = [r for r in self.store.replicas if r.phase is Phase.UNCHECKED]
        mine = (r for r in left if r.spec != self.target)
        self.drainer.begin(r for r in mine if self._is_bad(r))

    async def _welcome(self, groups: Groups, end: float) -> None:
        check = replace(self.readiness.check, timeout=ADOPTION / 2)
        if found := await self._answering(groups, self.launcher.ask, check, end):
            self.proven.admitted(self.readiness)
        self.store.admit(found)

    async def _use_anyway(self, groups: Groups, end: float) -> None:
        """
        Admit replicas that accept connections, though none was found healthy.
        """
        check = replace(self.readiness.check, path="", timeout=ADOPTION / 2)
        found = await self._answering(groups, self.launcher.reach, check, end)
        for replica in found:
            self.store.use_anyway(replica)
        self.store.admit(found)

    async def _answering(
        self, groups: Groups, ask: Ask, check: HealthCheck, end: float
    ) -> list[Replica]:
        """
        Return, ready, those of the first group in which any answers.

        All groups are asked at once, until *end* by the loop's clock.
        """
        asked = list({r: None for group in groups for r in group if r.ports})
        routes = await asyncio.gather(*(r.until(end, ask(r, check)) for r in asked))
        upstreams = dict(zip(asked, routes, strict=True))
        for group in groups:
            for replica in group:
                upstream = upstreams.get(replica)
                if upstream is not None and not replica.dead.is_set():
                    replica.ready(upstream)
            if found := [each for each in group if each.phase is Phase.READY]:
                return found
        return []

    def _retire_others(
        self, container_spec: ContainerSpec, made_from: tuple[object, ...]
    ) -> None:
        """
        Retire at once the replicas no longer needed, now that all of these serve.

        Options that changed since they were *made_from* some are left to healing.
        """
        wanted = self.wanted()
        if wanted == (container_spec.version, *made_from):
            self._made = wanted, container_spec
        todo = reconcile(self.store.snapshot(), self._order(container_spec).desired)
        leaving = [r for each in todo.leave if (r := self.store.get(each)) is not None]
        # Before they drain: a program told to stop breaks connections, too.
        before = Outcomes.total(each.outcomes for each in leaving)
        self.succession = Succession(container_spec.spec, before)
        self.proven.worked(container_spec)
        self.start_afresh()
        self.drainer.begin(leaving)

    def _withdraw(self, container_spec: ContainerSpec) -> None:
        """Retire the replicas of a version that failed or was cancelled."""
        running, version = self.running(), container_spec.version
        if running and (running.tag, running.identity) == (
            version.tag,
            version.identity,
        ):
            # The version that ran was available again: its replicas are kept as ever.
            return
        failed = [r for r in self.store.replicas if r.spec == container_spec.spec]
        alone = {r.spec for r in self.store.serving} == {container_spec.spec}
        if alone and running is not None:
            # Bad replicas are better than none until the previous version serves again.
            failed = [each for each in failed if each.phase is not Phase.SERVING]
        self.drainer.begin(failed)
        self.launcher.discard(
            container_spec.spec, lambda replica: self.drainer.begin([replica])
        )

    def _order(
        self, container_spec: ContainerSpec, *, beside: bool = False
    ) -> UpdateTarget:
        settings = self.settings
        desired = Desired(
            container_spec.spec, settings.replicas, settings.max_parallel, beside
        )
        return UpdateTarget(container_spec, desired, self.readiness)

    @property
    def readiness(self) -> ReadinessProbe:
        """Readiness probe of a replica."""
        settings = self.settings
        return ReadinessProbe(self.check, settings.health_timeout, settings.min_healthy)

    @property
    def check(self) -> HealthCheck:
        """Health check of a replica."""
        settings = self.settings
        return HealthCheck(
            settings.health_path,
            self.proxy_protocol,
            host=settings.health_host,
            upstream=settings.upstream,
        )

    @property
    def proxy_protocol(self) -> bool:
        """Whether the PROXY protocol tells replicas the client's address."""
        return self.settings.proxy_protocol == "v2"


class _Switch:
    """The replicas of a release, started beside those that serve."""

    def __init__(
        self, deployer: ContainerDeployer, target: Installed, progress: Progress
    ) -> None:
        self._deployer = deployer
        self._target = target
        self._progress = progress
        self.container_spec: ContainerSpec | None = None
        self.made_from: tuple[object, ...] = ()

    async def serve(self) -> None:
        deployer = self._deployer
        found = await deployer.image_store.get(self._target)
        self.made_from = deployer._given()
        container_spec = deployer.container_specs.of(self._target, found)
        self.container_spec = container_spec
        deployer._leave_to(self)
        await deployer.launcher.ensure_network(container_spec)
        order = deployer._order(container_spec, beside=True)
        await Rollout(
            deployer.store, deployer.launcher, deployer.drainer, order, self._progress
        ).run()
        deployer.proven.admitted(order.readiness)


def is_of(replica: Replica, running: Installed) -> bool:
    """Return whether *replica* runs *running*; the original did not label digests."""
    if replica.digest:
        return replica.digest == running.identity
    return replica.version == running.tag
