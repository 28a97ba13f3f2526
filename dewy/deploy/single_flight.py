"""
Hosts that share a cache take turns: one fetches a release, the others wait for it.

Wraps a fetcher. Whoever fetches holds a lease and renews it; a holder that dies
delays the others by one lease, and a cache that fails delays nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ..caches import SharedCache
from ..caches.outage_log import OutageLog
from ..release import Release
from ..system import Clock
from .fetch import Fetcher
from .lease import Lease, Standing

__all__ = ["SingleFlightFetcher"]

log = logging.getLogger(__name__)

LENGTH = 60.0
"""Seconds of a lease; it is renewed for as long as the download takes."""

PATIENCE = 1800.0
"""Seconds to wait for a holder that renews and renews."""

TRIES = 3
"""The number of cached artifacts of no use after which the cache is left aside."""

FIRST_LOOK, LAST_LOOK, FACTOR = 0.25, 2.0, 1.5


class SingleFlightFetcher:
    """*fetcher*, but only one at a time of all that share *cache*."""

    def __init__(
        self,
        fetcher: Fetcher,
        cache: SharedCache,
        *,
        length: float = LENGTH,
        clock: Clock | None = None,
        outage: OutageLog | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._cache = cache
        self._length = length
        self._clock = clock or Clock()
        self._outage = outage or OutageLog()

    @asynccontextmanager
    async def staged(self, release: Release) -> AsyncIterator[Path]:
        """
        Stage as `Fetcher.staged` does; the lease lasts until the artifact is there.
        """
        async with AsyncExitStack() as stack:
            # The cached artifact may turn out to be damaged, or gone in part; then
            # it is up to one host again to fetch it.
            for _ in range(TRIES):
                async with self._turn(release) as cached:
                    path = await stack.enter_async_context(
                        self._fetcher.shelved(release)
                        if cached
                        else self._fetcher.staged(release)
                    )
                if path is not None:
                    break
            else:
                path = await stack.enter_async_context(self._fetcher.staged(release))
            yield path

    async def retain(self, tags: Iterable[str]) -> None:
        """Retain as `Fetcher.retain` does."""
        await self._fetcher.retain(tags)

    @asynccontextmanager
    async def _turn(self, release: Release) -> AsyncIterator[bool]:
        """
        Wait for the turn to fetch, held until the block ends; yield True if cached.
        """
        key = f"locks/artifact/{self._fetcher.key(release)}"
        lease = Lease(self._cache, key, self._length, self._clock)
        standing = await self._wait(lease, release)
        if standing is not Standing.OURS:
            yield standing is None
            return
        renewing = asyncio.create_task(lease.keep(), name="lease")
        useless = False
        try:
            yield False
            useless = not await self._fetcher.has(release)
        finally:
            renewing.cancel()
            await asyncio.wait({renewing})
            await self._give_back(lease, useless)

    async def _wait(self, lease: Lease, release: Release) -> Standing | None:
        """
        Wait until the artifact is in the cache, which is None, or nothing is in the
        way of fetching it.
        """
        delay, until = FIRST_LOOK, self._clock.monotonic() + PATIENCE
        while not await self._fetcher.has(release):
            try:
                standing = await lease.take()
            except Exception as exc:  # noqa: BLE001 - a plugin's cache may raise anything
                self._outage.noticed(exc)
                return Standing.USELESS
            if standing is not Standing.ANOTHERS or self._clock.monotonic() > until:
                return standing
            if delay == FIRST_LOOK:
                log.info("Waiting for another host", extra={"tag": release.tag})
            await asyncio.sleep(delay * (0.5 + self._clock.jitter()))
            delay = min(delay * FACTOR, LAST_LOOK)
        return None

    async def _give_back(self, lease: Lease, useless: bool) -> None:
        try:
            await lease.give_back(useless=useless)
        except Exception as exc:  # noqa: BLE001 - a plugin's cache may raise anything
            self._outage.noticed(exc)
