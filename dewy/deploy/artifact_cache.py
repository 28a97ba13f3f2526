"""
Verified artifacts in the cache, each with a manifest that vouches for it.

The manifest is written last, and an artifact counts only for what its manifest says:
with another identity, another digest, or no manifest, it counts as absent. A cache that
fails costs a download, never a deployment.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from ..caches import Cache, SharedCache, Versioned
from ..caches.outages import OutageLog
from ..release import Release
from ..system import hostname

log = logging.getLogger(__name__)

T = TypeVar("T")

MODES = ("off", "auto", "required")
"""The modes of verification; each trusts artifacts let in by itself or a later one."""

REVOKED = b"{}"
"""In the place of a manifest: there is none."""


@dataclass(frozen=True, slots=True)
class CachedArtifact:
    """
    The facts known about a cached artifact.

    Attributes:
        sha256: Lower-case hex.

        size: Bytes.

        identity: The identity of the content, as in `Release`.

        verified: The mode of verification under which it was cached.

        published_at: The time of caching, RFC 3339.

        published_by: The host that cached it.
    """

    sha256: str
    size: int
    identity: str
    verified: str
    published_at: str
    published_by: str

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """Parse a manifest; None if *text* is something else."""
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(**{name: document[name] for name in cls.__slots__})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    def vouches_for(self, release: Release, mode: str) -> bool:
        """Return whether this is *release*, and verified as strictly as *mode* asks."""
        return (
            self.identity == release.identity
            and release.digest in ("", f"sha256:{self.sha256}")
            and self.verified in MODES[MODES.index(mode) :]
        )


class ArtifactCache:
    """The part of a cache that belongs to one registry."""

    def __init__(
        self, cache: Cache, scope: str, mode: str, outage: OutageLog | None = None
    ) -> None:
        self._cache = cache
        self._scope = scope
        self._mode = mode
        self._outage = outage or OutageLog()

    def key(self, release: Release) -> str:
        """Return the cache key of the artifact of *release*."""
        return self._prefix(release.tag) + _segment(release.file)

    async def has(self, release: Release) -> bool:
        """Return whether there is a manifest that vouches for *release*."""
        return await self._manifest(release) is not None

    async def take(self, release: Release, into: Path) -> bool:
        """
        Copy the artifact of *release* to *into*; False if it is not cached.

        The manifest of a damaged or missing artifact is revoked, so that no other host
        waits for it.
        """
        key = self.key(release)
        manifest = await self._manifest(release, tell=True)
        if manifest is None:
            return False
        loaded = await self._try(self._cache.load(key, into), None, reading=True)
        if not loaded:
            if loaded is False:
                await self._revoke(release, manifest)
            return False
        if (manifest.sha256, manifest.size) == await asyncio.to_thread(_measure, into):
            return True
        log.warning("Found a damaged artifact in the cache", extra={"key": key})
        await asyncio.to_thread(into.unlink)
        await self._revoke(release, manifest)
        return False

    async def take_legacy(self, release: Release, into: Path) -> bool:
        """
        Copy the artifact that the original cached to *into*; False if there is none.

        The original kept no manifest and shared its keys between registries, so only a
        published digest identifies the artifact.
        """
        key = f"{release.tag}--{release.file}"
        if not release.digest or "/" in key or key.startswith("."):
            return False
        if not await self._load(key, into):
            return False
        sha256, _ = await asyncio.to_thread(_measure, into)
        if release.digest == f"sha256:{sha256}":
            return True
        await asyncio.to_thread(into.unlink)
        return False

    async def keep(self, release: Release, path: Path, digest: str) -> None:
        """Cache the verified artifact at *path*."""
        key = self.key(release)
        size = (await asyncio.to_thread(path.stat)).st_size
        manifest = CachedArtifact(
            sha256=digest.removeprefix("sha256:"),
            size=size,
            identity=release.identity,
            verified=self._mode,
            published_at=datetime.now(UTC).isoformat(),
            published_by=hostname(),
        )
        text = json.dumps(asdict(manifest)).encode()
        if not await self._try(self._cache.store(key, path), False):
            return
        if await self._try(self._put(f"{key}.json", text), False):
            self._outage.over()
            log.info("Cached artifact", extra={"cache_key": key, "bytes": size})

    async def beside(self, release: Release, name: str) -> bytes | None:
        """Return the small file *name* kept beside the artifact, unverified."""
        return await self._get(self._prefix(release.tag) + _segment(name))

    async def keep_beside(self, release: Release, name: str, content: bytes) -> None:
        """Put the small file *name* beside the artifact."""
        key = self._prefix(release.tag) + _segment(name)
        await self._try(self._put(key, content), False)

    async def reject(self, release: Release) -> None:
        """Revoke the cached artifact of *release*."""
        if manifest := await self._manifest(release):
            await self._revoke(release, manifest)

    async def retain(self, tags: Iterable[str]) -> None:
        """Retain the cached artifacts of the versions *tags*, and no others."""
        found = [
            await self._try(self._cache.keys(self._prefix(tag)), [], reading=True)
            for tag in tags
        ]
        self._cache.retain({key for keys in found for key in keys})

    def _prefix(self, tag: str) -> str:
        return f"{self._scope}/{_segment(tag)}--"

    async def _manifest(
        self, release: Release, *, tell: bool = False
    ) -> CachedArtifact | None:
        key = f"{self.key(release)}.json"
        text = await self._get(key) or REVOKED
        manifest = CachedArtifact.parse(text)
        if tell and manifest is None and text != REVOKED:
            log.warning("Found a damaged manifest in the cache", extra={"key": key})
        vouched = manifest and manifest.vouches_for(release, self._mode)
        return manifest if vouched else None

    async def _revoke(self, release: Release, manifest: CachedArtifact) -> None:
        """
        Have *manifest* count no longer, unless another host has replaced it meanwhile.

        What it vouched for stays: a good one may be on its way to the same place.
        """
        key = f"{self.key(release)}.json"
        if not isinstance(self._cache, SharedCache):
            await self._try(self._cache.delete(key), None)
            return
        found = await self._try(self._cache.read(key), Versioned(), reading=True)
        if CachedArtifact.parse(found.value or b"") == manifest:
            await self._try(
                self._cache.compare_and_set(key, found.version, REVOKED), False
            )

    async def _get(self, key: str) -> bytes | None:
        return await self._try(self._cache.get(key), None, reading=True)

    async def _load(self, key: str, into: Path) -> bool:
        return await self._try(self._cache.load(key, into), False, reading=True)

    async def _put(self, key: str, value: bytes) -> bool:
        await self._cache.put(key, value)
        return True

    async def _try(
        self, call: Awaitable[T], otherwise: T, *, reading: bool = False
    ) -> T:
        try:
            result = await call
        except Exception as exc:  # noqa: BLE001 - a plugin's cache may raise anything
            self._outage.noticed(exc, reading=reading)
            return otherwise
        # A bucket that is gone holds nothing, and says so without an error.
        if reading and result and result != Versioned():
            self._outage.over(reading=True)
        return result


def _segment(name: str) -> str:
    # Readable, as the original's keys are; but one segment, whatever is in it.
    quoted = quote(name, safe="+")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted


def _measure(path: Path) -> tuple[str, int]:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
