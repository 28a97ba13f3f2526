"""Unpacked releases: the common part of `server` and `assets`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import boot
from ..caches import SharedCache
from ..config import Settings
from ..deploy.archive import ArchiveLimits, UnpackRules
from ..deploy.fetch import Fetcher, Fetches, scope
from ..deploy.release_store import UnpackedReleaseStore
from ..deploy.releases import Releases
from ..deploy.single_flight import SingleFlightFetcher
from ..deploy.state_store import StateStore
from ..registries.candidates import strip_of
from .runtime import RunContext

__all__ = ["Unpacked", "rules_of", "unpacking"]


@dataclass(frozen=True, slots=True)
class Unpacked:
    """State and releases of a root, with what agrees with them."""

    state_store: StateStore
    releases: Releases
    release_store: UnpackedReleaseStore


async def unpacking(context: RunContext) -> Unpacked:
    """
    Return the releases of this root, brought into agreement with its state.

    Raises:
        DewyError, OSError: the root cannot be read or written.
    """
    settings, clock = context.settings, context.clock
    releases = Releases(settings.root, rules_of(settings))
    state_store = await boot.load(settings, clock)
    await boot.repair(settings, state_store, releases, clock)
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
    fetcher.begin_retaining(kept, context.beside)
    fetches: Fetches = fetcher
    if isinstance(cache, SharedCache):
        fetches = SingleFlightFetcher(
            fetcher, cache, clock=clock, outage=context.outside.outage
        )
    return Unpacked(state_store, releases, UnpackedReleaseStore(releases, fetches))


def rules_of(settings: Settings) -> UnpackRules:
    """Return the rules for unpacking that *settings* say."""
    allowed = {"allow": True, "refuse": False}
    server = settings.command == "server"
    return UnpackRules(
        ArchiveLimits(
            entries=settings.archive_max_entries,
            total=settings.archive_max_bytes,
            ratio=settings.archive_max_ratio,
        ),
        strip=strip_of(settings.registry),
        absolute_links=allowed.get(settings.absolute_links, server),
        program=_in_release(settings.root, settings.program),
    )


def _in_release(root: Path, words: Sequence[str]) -> str:
    """Return the path in the release of the first of *words* that names one, or ""."""
    current = root / "current"
    for word in words:
        path = Path(os.path.normpath(root / word))
        if path != current and path.is_relative_to(current):
            return str(path.relative_to(current))
    return ""
