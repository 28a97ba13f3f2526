"""The parts that serve the replicas of one application, wired together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..config import Reloadable, Settings
from ..deploy.state_store import StateStore
from ..errors import EngineError, ImageMissing
from ..proxy import Backend, Port
from ..proxy.port import Pausing
from ..proxy.port import describe as describe_port
from ..remotes.oci.credentials import Credentials
from .application import Application
from .container_spec import ContainerSpecs, run_as
from .deployer import ContainerDeployer, is_of
from .drainer import Drainer, Timeouts
from .exit_watcher import ExitWatcher
from .image_store import ImageStore, Shown, Verify
from .launcher import Launcher
from .model import Engine
from .neighbors import NeighborKeeper
from .options.arguments import RunOptions
from .reconciler import Failed, Reconciler, Troubled
from .renewal import Record, Renewal
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

        neighbor_keeper: Keeper to be entered where the host's bridges have them.

        reconciler: Reconciler, set once deaths can be reported.
    """

    reloadable: Reloadable[Settings]
    options: Reloadable[RunOptions]
    table: ReplicaTable
    image_store: ImageStore
    deployer: ContainerDeployer
    drainer: Drainer
    container_specs: ContainerSpecs
    pausing: Pausing
    exit_watcher: ExitWatcher
    neighbor_keeper: NeighborKeeper
    reconciler: Reconciler | None = None

    @classmethod
    def of(
        cls,
        reloadable: Reloadable[Settings],
        engine: Engine,
        application: Application,
        run_options: RunOptions,
        ports: list[Port],
        state_store: StateStore,
        credentials: Callable[[], Awaitable[Credentials | None]],
        progress: Shown,
        hurry: asyncio.Event,
        told: Callable[[str], None],
        renewed: Record,
        verify: Verify | None = None,
    ) -> ReplicaSet:
        """
        Assemble a replica set; nothing is started yet.

        Args:
            told: Called with one line when another version has stepped in for the one
                that should run.

            renewed: Called with the end of a renewal.

            verify: Awaited before a release is brought; raises if it must not be.
        """
        options = Reloadable(run_as(engine, run_options))
        table = ReplicaTable(ports, reloadable)
        store = ReplicaStore(engine, application, table, reloadable)
        drainer = Drainer(
            store, lambda: timeouts(reloadable.current, options.current), hurry
        )
        image_store = ImageStore(
            engine, application, state_store, credentials, progress, options, verify
        )
        container_specs = ContainerSpecs(
            engine, application, reloadable, options, image_store.ensure
        )
        deployer = ContainerDeployer(
            store=store,
            launcher=Launcher(store, Upstreams(engine)),
            drainer=drainer,
            container_specs=container_specs,
            image_store=image_store,
            reloadable=reloadable,
            options=options,
            running=lambda: state_store.state.running,
            bad=lambda tag, digest: bool(
                state_store.state.quarantine.find(tag, digest)
            ),
            ensure=StandIn(store, image_store, state_store, told).ensure,
            renewal=Renewal(renewed),
        )
        return cls(
            reloadable=reloadable,
            options=options,
            table=table,
            image_store=image_store,
            deployer=deployer,
            drainer=drainer,
            container_specs=container_specs,
            pausing=Pausing(ports),
            exit_watcher=ExitWatcher(store),
            neighbor_keeper=NeighborKeeper(store.addresses),
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

    @property
    def settings(self) -> Settings:
        """Settings in use."""
        return self.reloadable.current

    def renew(self, settings: Settings, options: RunOptions, why: str = "") -> None:
        """
        Apply other settings; replicas with another specification are replaced.

        *why* is a phrase for people, where they have another.
        """
        if self.differs(options) or settings != self.settings:
            self.deployer.start_afresh()
        if why:
            self.deployer.renewal.expect(why)
        self.reloadable.reload(settings)
        self.options.reload(run_as(self.deployer.store.engine, options))
        self.deployer.store.changed.set()

    def differs(self, options: RunOptions) -> bool:
        """Return whether *options* are others than those in use."""
        return run_as(self.deployer.store.engine, options) != self.options.current

    async def outdated(self, settings: Settings, options: RunOptions) -> list[str]:
        """
        Return the names of the serving replicas that `renew` would replace.

        Raises:
            DewyError: the engine does not answer, or the image is missing.
        """
        running, store = self.deployer.running(), self.deployer.store
        if running is None:
            return []
        found = await self.image_store.find(running.identity)
        if found is None:
            raise ImageMissing(f"the image of {running.name} is not on this host")
        options = run_as(store.engine, options)
        spec = self.container_specs.like(settings, options).of(running, found)
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
        store = self.deployer.store
        # One may have been under way when its start was cancelled.
        await self.deployer.launcher.ended()
        with suppress(EngineError):
            await store.observe()
        # The service manager is waiting, and clients that come back find no one here.
        limits = timeouts(self.settings, self.options.current)
        seconds = limits.drain_within(self.settings.shutdown_timeout)
        asyncio.get_running_loop().call_later(seconds, self.drainer.no_drain.set)
        self.drainer.begin(store.replicas, spread=False)
        await self.drainer.ended()
        with suppress(EngineError):
            for replica in store.replicas:
                await store.remove(replica)
            if not self.options.current.network:
                await store.engine.remove_network(store.application.network)


def _lowered(text: str) -> str:
    """Return *text* as a phrase among others."""
    return text[:1].lower() + text[1:]


def timeouts(settings: Settings, options: RunOptions) -> Timeouts:
    """Return the time limits of leaving replicas."""
    stated = options.stop_timeout
    stop = settings.stop_timeout if stated is None else float(stated)
    return Timeouts(settings.drain_time, stop, settings.drain_jitter)
