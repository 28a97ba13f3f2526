"""The switch from the running release to an unpacked one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from .releases import Releases, Trial
from .state import Installed

Progress = Callable[[str], None]
"""Told each step of a switch, as a phrase for people: `replica 2 of 3 is healthy`."""


class Switch(Protocol):
    """A release that is taking over from the running one."""

    async def serve(self) -> None:
        """
        Return once the release serves beside what runs.

        Raises:
            DeploymentError: the release does not get ready.
        """
        ...


class Deployer(Protocol):
    """The part of a mode that puts an unpacked release into service."""

    async def alive(self) -> bool:
        """Return whether the deployed release serves."""
        ...

    def achievement(self, again: bool) -> str:
        """Return the notice of a deployment: of the first, or of one more."""
        ...

    async def heal(self, running: Installed) -> None:
        """Restore *running*, if somebody removed or replaced it."""
        ...

    async def at_hand(self, previous: Installed) -> bool:
        """Return whether `put_back` of *previous* needs nothing from elsewhere."""
        ...

    async def put_back(self, previous: Installed) -> None:
        """
        Make *previous* the release that starts next, after one that died.

        Raises:
            DeploymentError: *previous* cannot be put back.
        """
        ...

    def switch(
        self, target: Installed, progress: Progress
    ) -> AbstractAsyncContextManager[Switch]:
        """
        Open the transaction in which *target* takes over.

        Nothing happens before `Switch.serve`. The running release serves until the
        block is left: without an error it then retires; after an error or a
        cancellation, *target* is taken down and the running release is untouched. The
        caller writes the state between `serve` and the end of the block.

        Raises:
            DeploymentError: *target* could not take over.
        """
        ...


class AssetsDeployer:
    """Deployer of files; a release is in place when the link `current` points at it."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases

    async def alive(self) -> bool:
        return await self._releases.target() is not None

    def achievement(self, again: bool) -> str:
        return "Files switched"

    async def at_hand(self, previous: Installed) -> bool:
        return True

    async def put_back(self, previous: Installed) -> None:
        await self._releases.switch(previous.directory)

    async def heal(self, running: Installed) -> None:
        await self._releases.restore(running.directory)

    @asynccontextmanager
    async def switch(
        self, target: Installed, progress: Progress
    ) -> AsyncIterator[Switch]:
        async with self._releases.trying(target.directory) as trial:
            yield _Swap(trial)


class _Swap:
    """A switch of files, which serve as soon as the link points at them."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    async def serve(self) -> None:
        await self._trial.place()
