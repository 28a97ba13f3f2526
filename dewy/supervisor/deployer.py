"""Deployment of a supervised program: move `current`, start beside, retire the old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..deploy.deployer import Progress, Switch
from ..deploy.releases import Releases, Trial
from ..deploy.state import Installed
from .candidate import Candidate
from .generations import Generations


class ServerDeployer:
    """Deployer of programs; a release is in place when a generation of it serves."""

    def __init__(self, releases: Releases, generations: Generations) -> None:
        self._releases = releases
        self._generations = generations
        # A draining generation may open more of its files.
        releases.users.append(generations.releases)

    async def alive(self) -> bool:
        return self._generations.alive

    def achievement(self, again: bool) -> str:
        return "Server restarted" if again else "Server started"

    async def at_hand(self, previous: Installed) -> bool:
        return True

    async def put_back(self, previous: Installed) -> None:
        await self._generations.call_off_restart()
        async with self._generations.placing:
            await self._releases.put_back(previous.directory)

    async def heal(self, running: Installed) -> None:
        """Do nothing: the supervisor heals the generations at once."""

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
                yield _Start(candidate, trial)


class _Start:
    """Start of a release, which serves once a generation of it is ready."""

    def __init__(self, candidate: Candidate, trial: Trial) -> None:
        self._candidate = candidate
        self._trial = trial

    async def serve(self) -> None:
        await self._candidate.start(self._trial.place)
