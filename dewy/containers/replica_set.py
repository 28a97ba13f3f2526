"""The parts that serve the replicas of one application, wired together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..config import Settings
from ..deploy.state_store import StateStore
from ..errors import EngineError
from ..proxy import Backend, Port
from ..proxy.port import Pausing
from ..proxy.port import describe as describe_port
from ..remotes.oci.credentials import Credentials
from .application import Application
from .container_spec import ContainerSpecs
from .deployer import ContainerDeployer, is_of
from .drainer import Drainer, Timeouts
from .exit_watcher import ExitWatcher
from .image_store import ImageStore, Shown
from .launcher import Launcher
from .model import Engine
from .options.arguments import RunOptions
from .reconciler import Failed, Reconciler, Troubled
from .replica import Replica, describe
from .replica_store import ReplicaStore
from .rollout import Phase
from .running_version import StandIn
from .table import ReplicaTable
from .upstream import Upstreams

__all__ = ["ReplicaSet"]


@dataclass(slots=True)
class ReplicaSet:
    """
    Replicas of one application, with the parts that manage them.

    Attributes:
        exit_watcher: Watcher to be entered as long as the table has replicas.

        reconciler: Reconciler, set once deaths can be reported.
    """

    settings: Settings
    table: ReplicaTable
    image_store: ImageStore
    deployer: ContainerDeployer
    drainer: Drainer
    container_specs: ContainerSpecs
    pausing: Pausing
    stand_in: StandIn
    exit_watcher: ExitWatcher
    reconciler: Reconciler | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        engine: Engine,
        application: Application,
        options: RunOptions,
        ports: list[Port],
        state_store: StateStore,
        credentials: Callable[[], Awaitable[Credentials | None]],
        progress: Shown,
        hurry: asyncio.Event,
    ) -> ReplicaSet:
        """Assemble a replica set; nothing is started yet."""
        engine.keep_volumes = settings.keep_volumes
        table = ReplicaTable(ports, settings.drain_time)
        store = ReplicaStore(engine, application, table, settings.port_mappings)
        drainer = Drainer(store, timeouts(settings, options), hurry)
        image_store = ImageStore(
            engine, application, state_store, credentials, progress
        )
        image_store.platform = options.platform
        container_specs = ContainerSpecs(engine, application, settings, options)
        container_specs.ensure = image_store.ensure
        stand_in = StandIn(store, image_store, state_store)
        deployer = ContainerDeployer(
            store=store,
            launcher=Launcher(store, Upstreams(engine, settings.upstream)),
            drainer=drainer,
            container_specs=container_specs,
            image_store=image_store,
            settings=settings,
            running=lambda: state_store.state.running,
            bad=lambda tag, digest: bool(
                state_store.state.quarantine.find(tag, digest)
            ),
            ensure=stand_in.ensure,
        )
        return cls(
            settings=settings,
            table=table,
            image_store=image_store,
            deployer=deployer,
            drainer=drainer,
            container_specs=container_specs,
            pausing=Pausing(ports),
            stand_in=stand_in,
            exit_watcher=ExitWatcher(store),
        )

    def keep(
        self,
        failed: Failed,
        troubled: Troubled,
        on_probation: Callable[[], bool] = lambda: False,
    ) -> Reconciler:
        """Return the reconciler, which manages the replicas while entered."""
        self.reconciler = Reconciler(self.deployer, failed, troubled, on_probation)
        return self.reconciler

    def renew(self, settings: Settings, options: RunOptions) -> bool:
        """
        Apply other settings; replicas with another specification are replaced.

        Return whether *options* have changed.
        """
        options = self.container_specs.run_as(options)
        changed = options != self.container_specs.options
        if changed or settings != self.settings:
            self.deployer.start_afresh()
        self.settings = self.deployer.settings = self.container_specs.settings = (
            settings
        )
        self.container_specs.options = options
        self.image_store.platform = options.platform
        self.deployer.store.engine.keep_volumes = settings.keep_volumes
        self.drainer.timeouts = timeouts(settings, options)
        self.deployer.launcher.upstreams.wanted = settings.upstream
        self.table.drain_timeout = settings.drain_time
        self.deployer.store.changed.set()
        return changed

    def differs(self, options: RunOptions) -> bool:
        """Return whether *options* are others than those in use."""
        specs = self.container_specs
        return specs.run_as(options) != specs.options

    async def outdated(self, settings: Settings, options: RunOptions) -> list[str]:
        """
        Return the names of the serving replicas that `renew` would replace.

        Raises:
            DewyError: the engine does not answer, or the image is missing.
        """
        running, store = self.deployer.running(), self.deployer.store
        if running is None:
            return []
        spec = await self.container_specs.like(settings, options).of(running)
        return sorted(each.name for each in store.serving if each.spec != spec.spec)

    async def probe(self, backend: Backend) -> bool:
        """Return whether a suspected *backend* is to be used again."""
        return self.reconciler is not None and await self.reconciler.probe(backend)

    def containers(self) -> list[dict[str, Any]]:
        """Return all replicas, by name, as the admin API shows them."""
        store = self.deployer.store
        replicas = sorted(store.replicas, key=lambda each: each.name)
        return [describe(replica, store.terminations) for replica in replicas]

    def ports(self) -> list[dict[str, Any]]:
        """Return the ports of the proxy, as the status has them."""
        return [describe_port(port) for port in self.table.ports]

    def degraded(self) -> list[str]:
        """Return a phrase for each problem."""
        store = self.deployer.store
        serving = store.serving
        reasons = [
            f"replica {each.name} is unhealthy: {each.problem}"
            for each in serving
            if not each.health_tracker.healthy
        ]
        if paused := [r.name for r in store.replicas if r.phase is Phase.PAUSED]:
            reasons.append(f"paused in the engine: {', '.join(sorted(paused))}")
        reasons += self._short_of(serving)
        if self.reconciler and self.reconciler.crash_loop:
            reasons.append(self.reconciler.crash_loop)
        if self.reconciler and self.reconciler.problem:
            reasons.append(_lowered(self.reconciler.problem))
        return reasons

    def _short_of(self, serving: Sequence[Replica]) -> Iterator[str]:
        """Yield a phrase if too few of *serving* are of the running version."""
        running, wanted = self.deployer.running(), self.settings.replicas
        ours = [each for each in serving if running is None or is_of(each, running)]
        if not serving or len(ours) >= wanted:
            return
        others = {each.version for each in serving} - {each.version for each in ours}
        told = f"{len(ours)} of {wanted} replicas serve"
        yield f"{told}; others serve {', '.join(sorted(others))}" if others else told

    async def leave(self) -> None:
        """
        Close the ports and end, leaving the containers to the next dewy, or
        drain, stop and remove them all: as `--on-exit` says.
        """
        self.pausing.leave()
        for port in self.table.ports:
            port.close()
        try:
            if self.settings.on_exit != "leave":
                await self._end()
        finally:
            # A caller in a hurry cancels: the replicas are left to the next dewy.
            await self.deployer.launcher.stop()
            await self.drainer.stop()

    async def _end(self) -> None:
        store, container_specs = self.deployer.store, self.container_specs
        # One may have been under way when its start was cancelled.
        await self.deployer.launcher.ended()
        with suppress(EngineError):
            await store.observe()
        # The service manager is waiting, and clients that come back find no one here.
        self.drainer.timeouts = replace(self.drainer.timeouts, jitter=0.0)
        seconds = self.drainer.timeouts.drain_within(self.settings.shutdown_timeout)
        asyncio.get_running_loop().call_later(seconds, self.drainer.no_drain.set)
        self.drainer.begin(store.replicas)
        await self.drainer.ended()
        with suppress(EngineError):
            for replica in store.replicas:
                await store.remove(replica)
            if not container_specs.options.network:
                await store.engine.remove_network(store.application.network)


def _lowered(text: str) -> str:
    """Return *text* as a phrase among others."""
    return text[:1].lower() + text[1:]


def timeouts(settings: Settings, options: RunOptions) -> Timeouts:
    """Return the time limits of leaving replicas."""
    stated = options.stop_timeout
    stop = settings.stop_timeout if stated is None else float(stated)
    return Timeouts(settings.drain_time, stop, settings.drain_jitter)
