"""
A registry's answer shared by many hosts: the first asks, the others read.

Wraps any registry, over any cache with compare-and-set. A cache that fails costs a
request to the registry, never an answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

from ..caches import SharedCache, Versioned
from ..caches.outages import OutageLog
from ..config.values import duration
from ..errors import ConfigError, DewyError, NotYet, RateLimited, RemoteError
from ..logs import Trouble, summary, warn_once
from ..notifiers import NoticeKind
from ..registries import ArrangingRegistry, Candidates, Registry, candidates_of
from ..release import Deployment, Release
from ..system import Clock, hostname
from ..urls import redact
from ..versions import Version
from .candidates import first
from .registry_answer import Failure, Passed, RegistryAnswer, moment
from .single_flight import later

__all__ = ["CachedRegistry", "Terms", "ttl_of"]

log = logging.getLogger(__name__)

Tell = Callable[[NoticeKind, str], None]

WAIT = 0.25
"""Seconds between two looks at what another host finds out, give or take a half."""

PATIENCE = 60.0
"""Seconds to wait for another host, however long its claim would last."""

UNLOCK = 8.0
"""Seconds to replace a claim; a store may take one write per second of an object."""

DAMAGED = Trouble("Found a damaged answer in the cache", "it is asked for anew")

MOST_NAMES = 5000
"""The number of names of a list that are shared."""


@dataclass(frozen=True, slots=True)
class Terms:
    """
    The lifetimes of answers, in seconds.

    Attributes:
        ttl: Of an answer.

        claim: The longest wait for the host that asks the registry.

        stale: Of the last answer while the registry fails.
    """

    ttl: float
    claim: float
    stale: float

    @classmethod
    def of(cls, ttl: float) -> Terms:
        return cls(ttl, min(max(2 * ttl, 30.0), 300.0), max(10 * ttl, 300.0))


def ttl_of(cache_url: str) -> float:
    """
    Value of the option `registry-ttl` of *cache_url*, in seconds; 0 for none.

    Raises:
        ConfigError: the option is not a time.
    """
    query = parse_qsl(urlsplit(cache_url).query)
    text = next((v for k, v in reversed(query) if k.lower() == "registry-ttl"), "")
    name = f"cache {redact(cache_url)}: option registry-ttl"
    if text.startswith("-"):
        raise ConfigError(f"{name} must be non-negative, got {text}")
    return duration(text, name) if text else 0.0


class CachedRegistry:
    """
    Registry that shares the recent answers of *registry* among hosts.

    Args:
        key: The result of `answer.key`.

        tell: Called once when old answers are used because the registry fails, and once
            when it answers again.
    """

    def __init__(
        self,
        registry: Registry,
        cache: SharedCache,
        key: str,
        terms: Terms,
        *,
        clock: Clock | None = None,
        tell: Tell = lambda kind, text: None,
        outage: OutageLog | None = None,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._key = key
        self._terms = terms
        self._clock = clock or Clock()
        self._tell = tell
        self._node = f"{hostname()}:{os.getpid()}"
        self._told = ""
        self._outage = outage or OutageLog()

    async def current(self, tag: str | None = None) -> Release:
        """
        Return the shared answer; ask the registry directly for a release named by
        *tag*.
        """
        if tag is not None:
            return await self._registry.current(tag)
        entry = await self._entry()
        assert entry.release is not None
        return entry.release

    async def candidates(self) -> Candidates:
        """
        Return the shared candidates; missing details come from the registry.

        Raises:
            NoRelease, NotYet, RemoteError: the same as for the registry.
        """
        entry = await self._entry()
        registry, release = self._registry, entry.release
        assert release is not None
        if entry.names is None or not isinstance(registry, ArrangingRegistry):
            return Candidates.only(repr(registry), release)
        passed = {each.tag: each for each in entry.passed}

        async def details(version: Version) -> Release:
            if version.tag == release.tag:
                return release
            if version.tag in passed:
                raise passed[version.tag].error()
            return await registry.current(version.tag)

        return replace(
            registry.arrange(entry.names),
            details=details,
            costly=True,
            complete=len(entry.names) < MOST_NAMES,
            # In its written form, for that is what the other hosts read.
            listed=moment(entry.fetched_at),
        )

    async def _entry(self) -> RegistryAnswer:
        """Return an entry that holds a release."""
        deadline = self._clock.monotonic() + min(self._terms.claim + WAIT, PATIENCE)
        while True:
            try:
                seen = await self._cache.read(self._key)
            except Exception as exc:  # noqa: BLE001 - a plugin's cache may raise anything
                return await self._alone(exc)
            if seen.value is not None:
                self._outage.over(reading=True)
            entry, now = RegistryAnswer.parse(seen.value), self._now(seen)
            damaged = [DAMAGED] if seen.value and entry == RegistryAnswer() else []
            warn_once(log, self._key, damaged)
            if entry.release and entry.age(now) < self._terms.ttl:
                return self._good(entry)
            failure = entry.failure
            if failure and entry.failed_ago(now) < failure.lasts(self._terms.ttl):
                return self._despite(failure.error(now), entry, now)
            if self._waits(entry, now, deadline) or not (
                claim := await self._claim(seen, deadline)
            ):
                await asyncio.sleep(WAIT * (0.5 + self._clock.jitter()))
                continue
            return await self._ask(claim, now)

    async def report(self, deployment: Deployment) -> None:
        await self._registry.report(deployment)

    def _now(self, seen: Versioned) -> float:
        return self._clock.wall() if seen.now is None else seen.now

    def _waits(self, entry: RegistryAnswer, now: float, deadline: float) -> bool:
        claimed = entry.locked_ago(now) < self._terms.claim
        return claimed and self._clock.monotonic() < deadline

    async def _claim(self, seen: Versioned, deadline: float) -> RegistryAnswer | None:
        """Return the entry with our claim in it; None if somebody else was first."""
        claim = RegistryAnswer.parse(seen.value).claimed(self._node, self._now(seen))
        try:
            if await self._cache.compare_and_set(self._key, seen.version, claim.text()):
                self._outage.over()
                return claim
        except Exception as exc:  # noqa: BLE001 - a plugin's cache may raise anything
            if isinstance(exc, RateLimited) and self._clock.monotonic() < deadline:
                # Somebody has just written it, as with a claim.
                return None
            # No host can be first here, so none is waited for.
            self._outage.noticed(exc)
            return replace(claim, locked_by="")
        return None

    async def _ask(self, claim: RegistryAnswer, now: float) -> RegistryAnswer:
        begun = self._clock.monotonic()
        after = claim.unlocked()
        try:
            answer = await self._answer()
            took = self._clock.monotonic() - begun
            after = replace(answer, fetched_at=now + took)
        except DewyError as exc:
            now += self._clock.monotonic() - begun
            # What settles within seconds is asked for again by then.
            settles = isinstance(exc, NotYet) and exc.settles_in is not None
            after = claim.unlocked(None if settles else Failure.of(exc, now))
            return self._despite(exc, claim, now)
        finally:
            if claim.locked_by:
                await self._settle(claim, after)
        told = {"cache_key": self._key, "tag": after.release and after.release.tag}
        log.info("Registry result refreshed from upstream", extra=told)
        return self._good(after)

    async def _answer(self) -> RegistryAnswer:
        """Ask the registry, on behalf of every host of this platform."""
        offered = await candidates_of(self._registry)
        release, passed = await first(offered)
        over = tuple(Passed.of(tag, exc) for tag, exc in passed)
        if offered.names is None:
            return RegistryAnswer(release, passed=over)
        names = (each.tag for each in offered.versions)
        others = (each.name for each in offered.refused)
        listed = tuple(dict.fromkeys((*names, *others)))[:MOST_NAMES]
        return RegistryAnswer(release, passed=over, names=listed)

    async def _settle(self, claim: RegistryAnswer, after: RegistryAnswer) -> None:
        """Replace our own claim, and nobody else's."""
        try:
            async with asyncio.timeout(UNLOCK):
                seen = await self._cache.read(self._key)
                if seen.value == claim.text():
                    await later(self._cache, self._key, seen.version, after.text())
        except Exception as exc:  # noqa: BLE001 - a plugin's cache may raise anything
            self._outage.noticed(exc)

    async def _alone(self, exc: Exception) -> RegistryAnswer:
        self._outage.noticed(exc, reading=True)
        return replace(await self._answer(), fetched_at=self._clock.monotonic())

    def _good(self, entry: RegistryAnswer) -> RegistryAnswer:
        if self._told:
            log.info("Registry answers again", extra={"after": self._told})
            self._tell(NoticeKind.RECOVERY, "The registry answers again")
            self._told = ""
        return entry

    def _despite(
        self, exc: DewyError, entry: RegistryAnswer, now: float
    ) -> RegistryAnswer:
        """Return the last answer, if the registry gave none; else *exc* is raised."""
        age = entry.age(now)
        usable = entry.release is not None and age <= self._terms.stale
        if not usable or not isinstance(exc, RemoteError):
            raise exc
        if not self._told:
            self._told = summary(exc)
            log.warning(
                "Went on with an old answer",
                extra={"age": round(age), "reason": self._told},
            )
            self._tell(
                NoticeKind.ERROR,
                f"The registry failed ({self._told}); using its answer of {age:.0f} s "
                f"ago, for {self._terms.stale:.0f} s at most",
            )
        return entry
