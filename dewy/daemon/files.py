"""Releases that are unpacked: what `server` and `assets` have in common."""

from __future__ import annotations

from .. import boot
from ..agent import Agent
from ..caches import SharedCache
from ..deploy.deployer import AssetsDeployer
from ..deploy.fetch import Fetcher, Fetches, scope
from ..deploy.releases import Releases
from ..deploy.supply import ReleaseSupply
from ..deploy.turns import TakingTurns
from .ground import Ground

__all__ = ["unpacking"]


async def unpacking(ground: Ground) -> tuple[Agent, Releases]:
    """
    An agent for this root, which is as its state says from now on.

    Raises:
        DewyError, OSError: the root cannot be read or written.
    """
    settings, clock = ground.settings, ground.clock
    releases = Releases(settings.root)
    ledger = await boot.load(settings, clock)
    await boot.repair(ledger, releases)
    await boot.recover(settings, ledger, releases, clock)
    cache = ground.outside.cache
    fetcher = Fetcher(
        cache,
        ground.outside.clients,
        scope=scope(settings.registry),
        staging=settings.private / "staging",
        verify=settings.verify_checksum,
        progress=ground.progress,
        outage=ground.outside.outage,
    )
    await fetcher.clear()
    await fetcher.retain(installed.tag for installed in ledger.state.installed)
    fetches: Fetches = fetcher
    if isinstance(cache, SharedCache):
        fetches = TakingTurns(fetcher, cache, clock=clock, outage=ground.outside.outage)
    supply = ReleaseSupply(releases, fetches)
    return await ground.agent(ledger, supply, AssetsDeployer(releases)), releases
