"""Unpacked releases: the common part of `server` and `assets`."""

from __future__ import annotations

from .. import boot
from ..agent import Agent
from ..caches import SharedCache
from ..deploy.deployer import AssetsDeployer
from ..deploy.fetch import Fetcher, Fetches, scope
from ..deploy.release_store import UnpackedReleaseStore
from ..deploy.releases import Releases
from ..deploy.single_flight import SingleFlightFetcher
from .runtime import RunContext

__all__ = ["unpacking"]


async def unpacking(context: RunContext) -> tuple[Agent, Releases]:
    """
    Return an agent for this root, brought into agreement with its state.

    Raises:
        DewyError, OSError: the root cannot be read or written.
    """
    settings, clock = context.settings, context.clock
    releases = Releases(settings.root)
    state_store = await boot.load(settings, clock)
    await boot.repair(settings, state_store, releases)
    await boot.recover(settings, state_store, releases, clock)
    cache = context.outside.cache
    fetcher = Fetcher(
        cache,
        context.outside.clients,
        scope=scope(settings.registry),
        staging=settings.private / "staging",
        verify=settings.verify_checksum,
        keys=context.outside.keys,
        progress=context.progress,
        outage=context.outside.outage,
    )
    await fetcher.clear()
    kept = [installed.tag for installed in state_store.state.installed]
    # A cache that hangs must not keep the program from starting.
    fetcher.retaining = context.beside(fetcher.retain(kept), "cached versions")
    fetches: Fetches = fetcher
    if isinstance(cache, SharedCache):
        fetches = SingleFlightFetcher(
            fetcher, cache, clock=clock, outage=context.outside.outage
        )
    release_store = UnpackedReleaseStore(releases, fetches)
    return await context.agent(
        state_store, release_store, AssetsDeployer(releases)
    ), releases
