"""Deploying a supervised program: move `current`, start beside, retire the old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..deploy.deployer import Progress, Switch
from ..deploy.releases import Releases
from ..deploy.state import Installed
from .generations import Candidate, Generations


class ServerDeployer:
    """A release is in place when a generation started from it serves."""

    def __init__(self, releases: Releases, generations: Generations) -> None:
        self._releases = releases
        self._generations = generations
        # What still drains may open more of its files.
        releases.in_use = generations.releases

    async def alive(self) -> bool:
        return self._generations.alive

    def achievement(self, again: bool) -> str:
        return "Server restarted" if again else "Server started"

    async def put_back(self, previous: Installed) -> None:
        await self._generations.call_off_restart()
        async with self._generations.placing:
            if self._releases.trial is not None:
                self._releases.trial.back = previous.directory
            await self._releases.switch(previous.directory)

    async def heal(self, running: Installed) -> None:
        """Nothing: whoever watches the generations heals them at once."""

    @asynccontextmanager
    async def switch(
        self, target: Installed, progress: Progress
    ) -> AsyncIterator[Switch]:
        async with self._generations.deploying:
            await self._generations.call_off_restart()
            async with (
                self._generations.switch(progress) as candidate,
                self._releases.trying(target.directory) as trial,
            ):
                candidate.place = trial.place
                candidate.changes = True
                yield _Start(candidate)


class _Start:
    """The release serves once a generation started from it is ready."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate

    async def serve(self) -> None:
        await self._candidate.start()
