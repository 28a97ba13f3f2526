"""The parts of a dewy in memory that can be killed: registry, engine, and its life."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dewy.admin.handlers import Handlers
from dewy.agent import Agent
from dewy.deploy.changes import Change
from dewy.errors import DewyError, EngineError, NoRelease, RemoteError
from dewy.registries.candidates import Candidates, Options, newest
from dewy.release import Deployment, Release
from dewy.versions import Selection, Version
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost


class Killed(EngineError):
    """The dewy that asks was killed: nothing it asks for happens any more."""


class MortalEngine(MemoryEngine):
    """Deaf to a dewy that was killed."""

    def __init__(self, host: MemoryHost, life: Life) -> None:
        super().__init__(host)
        self._life = life

    def __getattribute__(self, name: str) -> Any:
        if name in CALLS and self._life.killed:
            raise Killed(f"{name}: this dewy is dead")
        return super().__getattribute__(name)


CALLS = frozenset(
    {"create", "start", "stop", "remove", "pull", "remove_image", "create_network"}
)


class Versions:
    """A registry that takes its time, and that can be away."""

    def __init__(self, random: random.Random) -> None:
        self._random = random
        self.releases: dict[str, Release] = {}
        self._options = Options.read(urlsplit("mem://here"), Selection())
        self.away = False

    async def current(self, tag: str | None = None) -> Release:
        if tag is None:
            return await newest(await self.candidates())
        await self._answer()
        if tag not in self.releases:
            raise NoRelease(f"there is no {tag}")
        return self.releases[tag]

    async def candidates(self) -> Candidates:
        await self._answer()

        async def details(version: Version) -> Release:
            return self.releases[version.tag]

        return self._options.candidates(self.releases, "here", details, costly=False)

    async def _answer(self) -> None:
        await asyncio.sleep(self._random.choice([0, 0.2, 2]))
        if self.away:
            raise RemoteError("the registry is away")

    async def report(self, deployment: Deployment) -> None:
        """Keep nothing."""


@dataclass
class Life:
    """
    One dewy, from its start until it stops or is killed.

    Attributes:
        errors: Failures of its verbs and polls that no operator could understand.
    """

    handlers: Handlers = None  # type: ignore[assignment]
    killed: bool = False
    work: set[asyncio.Task[Any]] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    @property
    def agent(self) -> Agent:
        return self.handlers.agent

    @property
    def change(self) -> Change | None:
        """The change of version under way; none while this dewy only begins."""
        return self.handlers.agent.changes.current if self.handlers else None

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Run *work*; what is refused is refused."""
        task = asyncio.create_task(work)
        self.work.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self.work.discard(task)
        if not task.cancelled():
            failure = task.exception()
            if failure is not None and not isinstance(failure, DewyError | OSError):
                self.errors.append(repr(failure))

    async def ended(self) -> None:
        for task in self.work:
            task.cancel()
        if self.work:
            await asyncio.wait(self.work)
