"""Fetch of artifacts to this host: once, completely, and verified."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from .. import urls
from ..artifacts import ARTIFACTS, Artifacts, Progress
from ..caches import Cache
from ..caches.outages import OutageLog
from ..errors import DeploymentError, SignatureError
from ..release import Release
from ..remotes import Clients
from . import checksum
from .artifact_cache import ArtifactCache
from .signatures import Key, Keys, verification

log = logging.getLogger(__name__)

Shown = Callable[[Release], AbstractContextManager[Progress]]
Begin = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


def scope(registry_url: str) -> str:
    """
    Return the scope that keeps one registry's artifacts apart from others' in a cache.
    """
    return hashlib.sha256(urls.canonical(registry_url).encode()).hexdigest()[:16]


class Fetches(Protocol):
    """The interface that brings artifacts to this host; see `Fetcher`."""

    def staged(self, release: Release) -> AbstractAsyncContextManager[Path]: ...

    async def retain(self, tags: Iterable[str]) -> None: ...


class Fetcher:
    """
    A stager of artifacts: from the cache where it has them, else from their store.

    Args:
        scope: The result of `scope` for the registry's URL.

        staging: A directory on the filesystem of the cache, for nobody else.

        verify: `off`, `auto` or `required`; see `checksum.verify`.

        keys: The keys, one of which must have signed an artifact; None to accept any
            artifact.

        progress: Shows how far a download is, for as long as its context lasts.
    """

    def __init__(
        self,
        cache: Cache,
        clients: Clients,
        *,
        scope: str,
        staging: Path,
        verify: str,
        keys: Keys | None = None,
        progress: Shown | None = None,
        outage: OutageLog | None = None,
    ) -> None:
        self._clients = clients
        self._shelf = ArtifactCache(cache, scope, verify, outage)
        self._staging = staging
        self._verify = verify
        self._keys = keys or _no_keys
        self._progress = progress or _unseen
        self._retaining: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def staged(self, release: Release) -> AsyncIterator[Path]:
        """
        Stage the verified artifact of *release*, as a file for the block to read.

        It may be another name of the file in the cache: never write to it. Nothing of
        it is left after the block, or if the block did not begin.

        Raises:
            RemoteError: the artifact store did not deliver it.
            ChecksumError: the artifact delivered is not the one published.
            SignatureError: the artifact is not signed with one of the keys.
            DeploymentError: the artifact could not be written here.
        """
        directory = await self._room()
        try:
            path = directory / release.file
            await self._obtain(release, path)
            yield path
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    @asynccontextmanager
    async def shelved(self, release: Release) -> AsyncIterator[Path | None]:
        """Stage the artifact from the cache alone; None if it is not there whole."""
        directory = await self._room()
        try:
            path = directory / release.file
            yield path if await self._taken(release, path) else None
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def key(self, release: Release) -> str:
        """Return the cache key of the artifact of *release*."""
        return self._shelf.key(release)

    async def has(self, release: Release) -> bool:
        """
        Return whether the cache holds the artifact, as far as known without reading it.
        """
        return await self._shelf.has(release)

    async def retain(self, tags: Iterable[str]) -> None:
        """Keep the cached artifacts of these versions; others may be evicted."""
        await self._shelf.retain(tags)

    async def clear(self) -> None:
        """Remove leftovers of a killed dewy from staging."""
        await asyncio.to_thread(shutil.rmtree, self._staging, ignore_errors=True)

    async def _room(self) -> Path:
        try:
            return await asyncio.to_thread(_make_room, self._staging)
        except OSError as exc:
            raise _unwritable(self._staging, exc) from exc

    def begin_retaining(self, kept: Iterable[str], begin: Begin) -> None:
        """
        Retain *kept* in a task that *begin* returns, of the given work and name.

        It need not be over before the program starts; it is before the first artifact
        is fetched.
        """
        self._retaining = begin(self.retain(kept), "cached versions")

    async def _obtain(self, release: Release, path: Path) -> None:
        if self._retaining is not None:
            await asyncio.wait({self._retaining})
        try:
            keys = await self._keys()
            if await self._take(release, path, keys):
                return
            store = await self._store(release)
            if not await self._shelf.take_legacy(release, path):
                await asyncio.to_thread(_require_space, path, release.size)
                with self._progress(release) as progress:
                    await store.fetch(release, path, progress)
            digest = await checksum.verify(
                path,
                release=release,
                mode=self._verify,
                read=lambda name: store.read(release, name, checksum.LIMIT),
            )
            if keys:
                read = partial(store.read, release, limit=verification.LIMIT)
                signed = await verification.verify(
                    path, release=release, keys=keys, read=read
                )
                await self._shelf.keep_beside(release, *signed)
            await self._shelf.keep(release, path, digest)
        except OSError as exc:
            raise _unwritable(path, exc) from exc

    async def _taken(self, release: Release, path: Path) -> bool:
        try:
            return await self._take(release, path, await self._keys())
        except OSError as exc:
            raise _unwritable(path, exc) from exc

    async def _take(self, release: Release, path: Path, keys: Sequence[Key]) -> bool:
        """Bring the artifact from the cache; False unless it is there, and signed."""
        if keys:
            # Before anything is fetched that must not be deployed.
            verification.require_listed(release, keys)
        if not await self._shelf.take(release, path):
            return False
        if not keys:
            return True
        read = partial(self._signature, release)
        try:
            await verification.verify(path, release=release, keys=keys, read=read)
        except SignatureError as exc:
            # Whoever may write to the cache could keep out what is published well.
            log.warning("Left the cached artifact aside", extra={"error": str(exc)})
            await self._shelf.reject(release)
            await asyncio.to_thread(path.unlink)
            return False
        return True

    async def _signature(self, release: Release, name: str) -> bytes:
        """Return a signature from the cache, or else from the store."""
        cached = await self._shelf.beside(release, name)
        if cached is not None and len(cached) <= verification.LIMIT:
            return cached
        store = await self._store(release)
        return await store.read(release, name, verification.LIMIT)

    async def _store(self, release: Release) -> Artifacts:
        # The import that comes with a scheme's first use may take a while.
        scheme = urlsplit(release.artifact_url).scheme
        await asyncio.to_thread(ARTIFACTS.factory, scheme)
        return ARTIFACTS.open(release.artifact_url, self._clients)


def _make_room(staging: Path) -> Path:
    staging.mkdir(0o700, parents=True, exist_ok=True)
    for number in count(1):
        # Errors name the path: one that differs each time would be news each time.
        with suppress(FileExistsError):
            room = staging / str(number)
            room.mkdir(0o700)
            return room
    raise AssertionError("numbers do not end")


def _require_space(path: Path, size: int | None) -> None:
    """Refuse what cannot be stored before it takes all the space there is."""
    free = shutil.disk_usage(path.parent).free
    if size is not None and size > free:
        takes, place = _amount(size), path.parent.parent
        text = f"could not stage {path.name}: it takes {takes}, and {place} has "
        raise DeploymentError(f"{text}{_amount(free)} free", host=True)


def _amount(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"


def _unwritable(path: Path, exc: OSError) -> DeploymentError:
    reason = exc.strerror or exc
    return DeploymentError(f"could not stage {path.name}: {reason}", host=True)


async def _no_keys() -> Sequence[Key]:
    return ()


def _unseen(release: Release) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)
