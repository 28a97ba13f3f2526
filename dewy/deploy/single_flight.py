"""
Single flight among hosts that share a cache: one fetches a release, the others wait.

Wraps a fetcher. The fetching host holds a lease and renews it; if it dies, the others
wait for the lease to end. A cache that fails delays no host.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from ..caches import SharedCache
from ..caches.outages import OutageLog
from ..errors import RateLimited
from ..release import Release
from ..system import Clock, hostname
from .fetch import Fetcher
from .registry_answer import moment, seconds

log = logging.getLogger(__name__)

LENGTH = 60.0
"""Seconds of a lease; it is renewed for as long as the download takes."""

PATIENCE = 1800.0
"""Seconds to wait for a holder that renews and renews."""

TRIES = 3
"""The number of cached artifacts of no use after which the cache is left aside."""

FIRST_LOOK, LAST_LOOK, FACTOR = 0.25, 2.0, 1.5


class SingleFlightFetcher:
    """
    Fetcher that runs *fetcher* on one host at a time among those that share *cache*.
    """

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


LONGEST = 600.0
"""Seconds; no holder is believed for longer, whatever it wrote."""

RENEWALS = 3
"""The number of renewals in a lease's time."""

APART = 1.0
"""Seconds between two writes of one object that a store may ask for."""

GIVING_BACK = 4.0
"""Seconds to give it back; a store may take one write per second of an object."""

USELESS = "not kept"


class Standing(Enum):
    """The holder of a lease, as this host sees it."""

    OURS = "ours"
    ANOTHERS = "another's"
    USELESS = "useless"


@dataclass(frozen=True, slots=True)
class Note:
    """
    A holder's note, under the names the original gave it.

    Attributes:
        value: Differs each time the lease is taken; or says that the artifact fetched
            under it could not be kept.

        acquired_at, expires_at: RFC 3339.
    """

    holder: str
    value: str
    acquired_at: str
    expires_at: str

    @classmethod
    def parse(cls, text: bytes | None) -> Self | None:
        try:
            document: dict[str, Any] = json.loads(text or b"")
            return cls(**{name: str(document[name]) for name in cls.__slots__})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def text(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def span(self) -> tuple[float, float]:
        """
        Return the end of the lease and its length in seconds; 0 where that is unclear.
        """
        try:
            begin, end = seconds(self.acquired_at), seconds(self.expires_at)
        except ValueError:
            return 0.0, 0.0
        return end or 0.0, min(max((end or 0.0) - (begin or 0.0), 0.0), LONGEST)


class Lease:
    """
    The lease *key* as one host sees it, for *length* seconds at a time.

    Every method may raise OSError or RemoteError.
    """

    def __init__(
        self, cache: SharedCache, key: str, length: float, clock: Clock
    ) -> None:
        self._cache = cache
        self._key = key
        self._length = length
        self._clock = clock
        self._token = secrets.token_hex(8)
        # The version last seen and when first, by our own clock: a lease that is never
        # renewed has ended, however the clocks of hosts differ.
        self._seen: tuple[str, float] = ("", 0.0)

    async def take(self) -> Standing:
        """Take the lease, unless another host holds it."""
        seen = await self._cache.read(self._key)
        now = self._clock.wall() if seen.now is None else seen.now
        note = Note.parse(seen.value)
        if note and self._is_alive(note, seen.version, now):
            return Standing.USELESS if note.value == USELESS else Standing.ANOTHERS
        try:
            taken = await self._cache.compare_and_set(
                self._key, seen.version, self._note(now, self._token).text()
            )
        except RateLimited:
            # Somebody has just written it.
            return Standing.ANOTHERS
        return Standing.OURS if taken else Standing.ANOTHERS

    async def renew(self) -> None:
        """Renew the lease for its full length, if this host still holds it."""
        await self._write(self._token)

    async def keep(self) -> None:
        """Renew the lease until cancelled."""
        while True:
            await asyncio.sleep(self._length / RENEWALS)
            with suppress(Exception):  # a plugin's cache may raise anything
                await self.renew()

    async def give_back(self, *, useless: bool) -> None:
        """
        Release the lease; *useless* tells the others that waiting for it is pointless.
        """
        async with asyncio.timeout(GIVING_BACK):
            if useless:
                await self._write(USELESS)
            elif (note := Note.parse(await self._cache.get(self._key))) and (
                note.value == self._token
            ):
                await self._cache.delete(self._key)

    async def _write(self, value: str) -> None:
        seen = await self._cache.read(self._key)
        note = Note.parse(seen.value)
        if note and note.value == self._token:
            now = self._clock.wall() if seen.now is None else seen.now
            text = self._note(now, value).text()
            await later(self._cache, self._key, seen.version, text)

    def _note(self, now: float, value: str) -> Note:
        holder = f"{hostname()}:{os.getpid()}"
        return Note(holder, value, moment(now), moment(now + self._length))

    def _is_alive(self, note: Note, version: str, now: float) -> bool:
        ends, lasts = note.span()
        if self._seen[0] != version:
            self._seen = version, self._clock.monotonic()
        return now < ends and self._clock.monotonic() - self._seen[1] < lasts


async def later(cache: SharedCache, key: str, version: str, value: bytes) -> bool:
    """Compare and set, once the cache accepts another write of *key*."""
    while True:
        try:
            return await cache.compare_and_set(key, version, value)
        except RateLimited as exc:
            await asyncio.sleep(max(exc.retry_after or 0.0, APART))
