"""Deploying an image: replicas of it take the place of those that serve."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..config import Settings
from ..deploy.deployer import Progress, Switch
from ..deploy.state import Installed
from ..errors import DewyError, EngineError
from .container_spec import ContainerSpec, ContainerSpecs
from .drainer import Drainer
from .engines.decode import repository
from .health import Check
from .image_store import ImageStore
from .launcher import Launcher, ReadinessProbe
from .model import Container
from .replica import Replica
from .replica_store import ReplicaStore
from .rollout import Phase, settled
from .update import Order, Update

__all__ = ["ContainerDeployer"]

log = logging.getLogger(__name__)

ADOPTION = 2.0
"""Seconds that a replica left by an earlier dewy has to answer once."""


@dataclass(slots=True)
class ContainerDeployer:
    """
    A release is in place when all of its replicas serve.

    Attributes:
        settings: As they are now; `dewy reload` changes them.

        running: What the state says runs.

        bad: Whether a version, by its tag and digest, is in quarantine.

        switching: Held by whoever changes the replicas.
    """

    store: ReplicaStore
    launcher: Launcher
    drainer: Drainer
    container_specs: ContainerSpecs
    image_store: ImageStore
    settings: Settings
    running: Callable[[], Installed | None]
    bad: Callable[[str, str], bool]
    switching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def alive(self) -> bool:
        return bool(self.store.serving)

    def achievement(self, again: bool) -> str:
        count = len(self.store.serving)
        return f"Container deployed: {count} of {self.settings.replicas} replicas"

    async def heal(self, running: Installed) -> None:
        """Look at everything again; whoever keeps the replicas does the rest."""
        async with self.switching:
            await self.store.observe()
        self.store.changed.set()

    async def put_back(self, previous: Installed) -> None:
        """Nothing: the replicas follow what the state says runs."""

    @asynccontextmanager
    async def switch(
        self, target: Installed, progress: Progress
    ) -> AsyncIterator[Switch]:
        async with self.switching:
            rollout = _Rollout(self, target)
            try:
                yield rollout
            except BaseException:
                if rollout.container_spec is not None:
                    self._withdraw(rollout.container_spec)
                raise
            try:
                if rollout.update is not None:
                    await rollout.update.run()
            except (DewyError, OSError) as exc:
                # It runs; who leaves, or fails to, is found by the next look.
                log.warning("Rollout left work behind", extra={"error": str(exc)})
                self.store.changed.set()

    async def reconcile(self, undecided: Callable[[], bool]) -> int:
        """
        Have as many replicas of what runs serve as there are to be, and no others.

        Nothing more is done once *undecided* says that a death may have another
        version run. Returns up to which change of the store all was looked at.

        Raises:
            StartFailed: a replica would not start; whoever serves serves on.
            EngineError: the engine did not do its part.
        """
        async with self.switching:
            await self.store.observe()
            known = self.store.changed.count
            running = self.running()
            if running is None:
                self._clear()
                return known
            await self.image_store.ensure(running)
            container_spec = await self.container_specs.of(running)
            if settled(self.store.snapshot(), self._order(container_spec).desired):
                return known
            wanted = self._wanted()
            update = self.update(container_spec, enough=undecided)
            await update.run()
            return update.known if wanted == self._wanted() else known

    def _wanted(self) -> tuple[object, ...]:
        """What a change of the store may be about that the store does not show."""
        return self.running(), self.settings, self.container_specs.options

    async def adopt(self, running: Installed | None) -> None:
        """
        Let the replicas serve that an earlier dewy, or the original, left.

        Of those of *running* if there are any; else of all, which is better than
        nobody. Each has to answer once. Nothing is started or ended.

        Raises:
            EngineError: the engine does not tell.
        """
        await self.store.observe()
        left = [
            each
            for each in self.store.replicas
            # Bad ones are better than none until what ran before serves again.
            if each.phase is Phase.UNCHECKED and (running or not self._is_bad(each))
        ]
        await self._welcome([r for r in left if running and is_of(r, running)])
        if not self.store.serving:
            await self._welcome(r for r in left if r.phase is Phase.UNCHECKED)
        if left:
            log.info(
                "Adopted containers",
                extra={"found": len(left), "serving": len(self.store.serving)},
            )

    async def identify(self, now: float) -> Installed | None:
        """
        What serves, where no state says it: the version of most of the replicas.

        None where nobody serves, or where its bytes cannot be told. *now* is
        seconds since the epoch.
        """
        serving = self.store.serving
        for tag, _ in Counter(each.version for each in serving).most_common():
            replica = next(each for each in serving if each.version == tag)
            digest = replica.digest or await self._digest(replica.container)
            if tag and digest:
                return Installed(tag, digest, "", now)
        return None

    async def _digest(self, container: Container) -> str:
        """Of the image it was made from; "" if the engine does not know it."""
        image = await self.store.engine.image(container.image_id)
        ours = self.store.application.repository
        for reference in image.digests if image else ():
            if repository(reference) == ours:
                return reference.partition("@")[2]
        return ""

    def _is_bad(self, replica: Replica) -> bool:
        return self.bad(replica.version, replica.digest)

    def _clear(self) -> None:
        """Let go what is left of versions that failed before anything ran."""
        left = [r for r in self.store.replicas if r.phase is Phase.UNCHECKED]
        self.drainer.begin(r for r in left if self._is_bad(r))

    async def _welcome(self, replicas: Iterable[Replica]) -> None:
        ready = [replica for replica in replicas if replica.ports]
        await asyncio.gather(*(self._ask(replica) for replica in ready))
        self.store.admit(ready)

    async def _ask(self, replica: Replica) -> None:
        check = replace(self.check, timeout=ADOPTION)
        try:
            replica.upstream = await self.launcher.ask(replica, check)
        except EngineError as exc:
            replica.problem = str(exc)
        if replica.upstream is not None:
            replica.phase = Phase.READY

    def update(self, container_spec: ContainerSpec, **how: Any) -> Update:
        """Return an update to *container_spec*; *how* are keywords of `Update`."""
        order = self._order(container_spec)
        return Update(self.store, self.launcher, self.drainer, order, **how)

    def _withdraw(self, container_spec: ContainerSpec) -> None:
        """Let the replicas of a version go that failed."""
        alone = {r.spec for r in self.store.serving} == {container_spec.spec}
        if alone and self.running() is not None:
            # Bad ones are better than none, until what ran before serves again.
            self.store.changed.set()
            return
        failed = [r for r in self.store.replicas if r.spec == container_spec.spec]
        self.drainer.begin(failed)

    def _order(self, container_spec: ContainerSpec) -> Order:
        settings = self.settings
        return Order(
            container_spec, settings.replicas, settings.max_parallel, self.readiness
        )

    @property
    def readiness(self) -> ReadinessProbe:
        """When a replica is ready."""
        settings = self.settings
        return ReadinessProbe(self.check, settings.health_timeout, settings.min_healthy)

    @property
    def check(self) -> Check:
        """Health check of a replica."""
        settings = self.settings
        return Check(
            settings.health_path, self.proxy_protocol, host=settings.health_host
        )

    @property
    def proxy_protocol(self) -> bool:
        """Whether replicas are told who connects."""
        return self.settings.proxy_protocol == "v2"


class _Rollout:
    """The replicas of a release, started beside those that serve."""

    def __init__(self, deployer: ContainerDeployer, target: Installed) -> None:
        self._deployer = deployer
        self._target = target
        self.container_spec: ContainerSpec | None = None
        self.update: Update | None = None

    async def serve(self) -> None:
        deployer = self._deployer
        await deployer.image_store.ensure(self._target)
        self.container_spec = await deployer.container_specs.of(self._target)
        await deployer.store.observe()
        self.update = deployer.update(self.container_spec, strict=True)
        await self.update.run(beside=True)


def is_of(replica: Replica, running: Installed) -> bool:
    """Whether *replica* is one of *running*; the original did not label digests."""
    if replica.digest:
        return replica.digest == running.identity
    return replica.version == running.tag
