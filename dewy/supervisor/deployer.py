"""Deploying a supervised program: move `current`, start beside, retire the old."""

from __future__ import annotations

from ..deploy.deployer import Abandon, Commit, put_back
from ..deploy.releases import Releases
from ..deploy.state import Installed
from .generations import Generations


class ServerDeployer:
    """A release is in place when a generation started from it serves."""

    def __init__(self, releases: Releases, generations: Generations) -> None:
        self._releases = releases
        self._generations = generations

    async def alive(self) -> bool:
        return self._generations.alive

    def achievement(self, again: bool) -> str:
        return "Server restarted" if again else "Server started"

    async def put_back(self, previous: Installed) -> None:
        await self._releases.switch(previous.directory)

    async def heal(self, running: Installed) -> None:
        """Nothing: whoever watches the generations heals them at once."""

    async def activate(
        self, target: Installed, commit: Commit, abandon: Abandon
    ) -> None:
        moved_from: list[str | None] = []

        async def prepare() -> None:
            moved_from.append(await self._releases.target())
            await self._releases.switch(target.directory)

        async def undo(reason: BaseException) -> None:
            await abandon(reason)
            for directory in moved_from:
                await put_back(self._releases, directory)

        await self._generations.replace(prepare, commit, undo)
