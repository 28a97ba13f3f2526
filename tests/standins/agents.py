"""An agent over remotes in memory, with a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dewy.agent import Agent
from dewy.caches.memory import MemoryCache
from dewy.config import Reloadable, Settings
from dewy.deploy.deployer import AssetsDeployer
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.fetch import Fetcher
from dewy.deploy.history import History, Record
from dewy.deploy.hooks import DeployHooks
from dewy.deploy.probation import Probation
from dewy.deploy.release_store import UnpackedReleaseStore
from dewy.deploy.releases import Releases
from dewy.deploy.state import State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.notifiers import Notifier
from dewy.notifiers.memory import MemoryNotifier
from dewy.registries.memory import MemoryRegistry
from dewy.remotes import Clients
from dewy.remotes.memory import MemoryStore
from dewy.system import Clock
from dewy.versions import Selection
from tests.standins import programs

BEGUN = 2_000_000_000.0


@dataclass
class Hands:
    """What a test moves: the time, and what is published."""

    store: MemoryStore
    notifier: MemoryNotifier
    private: Path
    announced: list[str] = field(default_factory=list)
    now: float = BEGUN
    agent: Agent = None  # type: ignore[assignment]
    releases: Releases = None  # type: ignore[assignment]

    def publish(
        self, version: str, artifact: bytes | None = None, **given: Any
    ) -> None:
        """Publish files that say *version*, or another *artifact*."""
        good = programs.tarball({"VERSION": version})
        self.store.publish(version, {"app.tar.gz": artifact or good}, **given)

    async def tick(self) -> None:
        """Poll once, and wait for what follows."""
        await self.agent.tick()
        await self.agent.follow_up.finished()

    async def history(self) -> list[Record]:
        """Every record, oldest first, once what follows a change is over."""
        await self.agent.follow_up.finished()
        return await asyncio.to_thread(History(self.private).read)

    def told(self) -> list[str]:
        """The notices sent so far."""
        return [notice.text for notice in self.notifier.sent]


@asynccontextmanager
async def acting(
    root: Path, *further: Notifier, **settings: Any
) -> AsyncIterator[Hands]:
    """
    An agent in *root* that keeps files; the settings are those of `assets`.

    Beside the notifier in memory it tells *further* ones.
    """
    private = root / ".dewy"
    private.mkdir()
    given = {"command": "assets", "registry": "mem://app", **settings}
    chosen = Settings(root=root, cache_dir=private / "cache", **given)
    # Named after the root, for a store lives as long as the process.
    url = urlsplit(f"mem://{root.name}")
    hands = Hands(MemoryStore(root.name), MemoryNotifier(url), private)
    clock = Clock(lambda: hands.now, lambda: hands.now, lambda: 0.5)
    releases = hands.releases = Releases(root)
    state_store = StateStore(StateFile(private), State())
    MemoryStore._named[root.name] = hands.store
    async with (
        Clients() as clients,
        DeploymentLog(
            History(private), [hands.notifier, *further], clock
        ) as deployment_log,
    ):
        fetcher = Fetcher(
            MemoryCache(url, root),
            clients,
            scope="0123456789abcdef",
            staging=private / "staging",
            verify="auto",
        )
        release_store = UnpackedReleaseStore(releases, fetcher)
        reloadable = Reloadable(chosen)
        hands.agent = Agent(
            reloadable=reloadable,
            clock=clock,
            state_store=state_store,
            release_store=release_store,
            registry=MemoryRegistry(url, Selection(), clients),
            deployer=AssetsDeployer(releases),
            deployment_log=deployment_log,
            hooks=DeployHooks(reloadable, release_store, deployment_log),
            probation=Probation(reloadable, clock, state_store, deployment_log),
            announce=hands.announced.append,
        )
        try:
            yield hands
        finally:
            await hands.agent.follow_up.stop()
            del MemoryStore._named[root.name]


@pytest.fixture
async def hands(tmp_path: Path) -> AsyncIterator[Hands]:
    async with acting(tmp_path) as hands:
        yield hands


def version(root: Path) -> str:
    """What `current` holds."""
    return (root / "current" / "VERSION").read_text()
