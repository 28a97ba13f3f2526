"""Releases on this host: fetched, kept while they may be needed, removed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from ..release import Release
from ..system import utc
from .fetch import Fetches
from .releases import Releases
from .state import Installed, State

__all__ = ["Delivery", "ReleaseStore", "UnpackedReleaseStore"]


class Delivery(Protocol):
    """A release whose artifact is on this host, complete and verified."""

    async def reserve(self, now: float) -> Installed:
        """
        Return the release as it will be once installed; *now* is seconds since the
        epoch.
        """
        ...

    async def install(self, target: Installed) -> None:
        """
        Prepare the release for its start as *target*, beside the running one.

        Raises:
            DeploymentError: the release could not be installed; nothing of it remains.
        """
        ...


class ReleaseStore(Protocol):
    """Store that fetches the releases of a root and keeps them."""

    def brought(self, release: Release) -> AbstractAsyncContextManager[Delivery]:
        """
        Fetch and verify *release*, for the block to install.

        Raises:
            RemoteError: the artifact store did not deliver it.
            DeploymentError: the artifact is not the one published, or there is no room.
        """
        ...

    async def has(self, installed: Installed) -> bool:
        """
        Return whether *installed* could be started without fetching anything.

        Raises:
            OSError: the disk cannot be read.
        """
        ...

    async def retain(self, state: State, *, cached: bool) -> None:
        """
        Remove releases that *state* does not need; failures are logged.

        *cached*: cached artifacts of other versions may go, too.
        """
        ...

    def describe(self, installed: Installed) -> Mapping[str, str]:
        """Return facts about *installed* for hooks, as environment variables."""
        ...


class UnpackedReleaseStore:
    """Artifacts unpacked into `releases/`."""

    def __init__(self, releases: Releases, fetcher: Fetches) -> None:
        self._releases = releases
        self._fetcher = fetcher

    @asynccontextmanager
    async def brought(self, release: Release) -> AsyncIterator[Delivery]:
        async with self._fetcher.staged(release) as artifact:
            yield _Staged(self._releases, release, artifact)

    async def has(self, installed: Installed) -> bool:
        return installed.directory in await self._releases.names()

    async def retain(self, state: State, *, cached: bool) -> None:
        with suppress(OSError):
            await self._releases.prune({each.directory for each in state.installed})
        if cached:
            await self._fetcher.retain(each.tag for each in state.installed)

    def describe(self, installed: Installed) -> Mapping[str, str]:
        return {"DEWY_RELEASE_DIR": str(self._releases.path(installed.directory))}


class _Staged:
    """An artifact in the staging directory."""

    def __init__(self, releases: Releases, release: Release, artifact: Path) -> None:
        self._releases = releases
        self._release = release
        self._artifact = artifact

    async def reserve(self, now: float) -> Installed:
        release, directory = self._release, await self._releases.reserve(utc(now))
        return Installed(release.tag, release.identity, directory, now)

    async def install(self, target: Installed) -> None:
        await self._releases.unpack(
            self._artifact, self._release.file, target.directory
        )
