"""Putting an unpacked release in the place of the one that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from .releases import Releases, Trial
from .state import Installed

Progress = Callable[[str], None]
"""Told each step of a switch, as a phrase for people: `replica 2 of 3 is healthy`."""


class Switch(Protocol):
    """A release that is taking over from the one that runs."""

    async def serve(self) -> None:
        """
        Return once the release serves beside what runs.

        Raises:
            DeploymentError: the release does not get ready.
        """
        ...


class Deployer(Protocol):
    """The part that makes one unpacked release the one that runs."""

    async def alive(self) -> bool:
        """Return whether what was deployed is at work."""
        ...

    def achievement(self, again: bool) -> str:
        """Return the notice of a deployment: of the first, or of one more."""
        ...

    async def heal(self, running: Installed) -> None:
        """Put *running* back in its place, if somebody took it out."""
        ...

    async def at_hand(self, previous: Installed) -> bool:
        """Return whether `put_back` of *previous* needs nothing from elsewhere."""
        ...

    async def put_back(self, previous: Installed) -> None:
        """
        Have *previous* be what is started next, after a release that died.

        Raises:
            DeploymentError: *previous* cannot be put back.
        """
        ...

    def switch(
        self, target: Installed, progress: Progress
    ) -> AbstractAsyncContextManager[Switch]:
        """
        Open the transaction in which *target* takes over.

        Nothing happens before `Switch.serve`. What runs serves until the switch is
        left: without an error it is retired then; with one (or cancelled) *target*
        is taken down and what ran is untouched. Whoever runs the transaction writes
        the state between `serve` and leaving.

        Raises:
            DeploymentError: *target* could not take over.
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
