"""Putting an unpacked release in the place of the one that runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from .releases import Releases
from .state import Installed

Commit = Callable[[], Awaitable[None]]
Abandon = Callable[[BaseException], Awaitable[None]]


class Deployer(Protocol):
    """Makes one unpacked release the one that runs."""

    async def alive(self) -> bool:
        """Whether what was deployed is at work."""
        ...

    def achievement(self, again: bool) -> str:
        """What people are told of a deployment: of the first, or of one more."""
        ...

    async def heal(self, running: Installed) -> None:
        """Put *running* back in its place, if somebody took it out."""
        ...

    async def put_back(self, previous: Installed) -> None:
        """
        Have *previous* be what is started next, after a release that died.

        Raises:
            DeploymentError: it cannot be.
        """
        ...

    async def activate(
        self, target: Installed, commit: Commit, abandon: Abandon
    ) -> None:
        """
        Let *target* take over.

        Args:
            commit: Awaited once it serves, before what ran hears of it.

            abandon: Awaited with the reason before anything is undone.

        Raises:
            DeploymentError: it could not; what ran still runs.
        """
        ...


class AssetsDeployer:
    """Files: a release is in place when the link `current` points at it."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases

    async def alive(self) -> bool:
        return await self._releases.target() is not None

    def achievement(self, again: bool) -> str:
        return "Files switched"

    async def put_back(self, previous: Installed) -> None:
        await self._releases.switch(previous.directory)

    async def heal(self, running: Installed) -> None:
        if await self._releases.target() != running.directory:
            await self._releases.switch(running.directory)

    async def activate(
        self, target: Installed, commit: Commit, abandon: Abandon
    ) -> None:
        before = await self._releases.target()
        try:
            await self._releases.switch(target.directory)
            await commit()
        except BaseException as exc:
            await abandon(exc)
            await put_back(self._releases, before)
            raise


async def put_back(releases: Releases, directory: str | None) -> None:
    """Let `current` point where it did: at *directory*, or nowhere."""
    if directory is None:
        await releases.withdraw()
    else:
        await releases.switch(directory)
