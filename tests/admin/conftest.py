"""A root in which dewy worked, and settings for it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dewy.admin.http import PORTS_TRIED
from dewy.admin.status import ProcessStatus, status
from dewy.config import Settings
from dewy.deploy.quarantine import Quarantine
from dewy.deploy.state import Installed, State, StateFile
from dewy.system import Clock
from tests.standins.chromium import Tab, chromium, tab

V1 = Installed("v1", "one", "20310203T040506Z", 1.0)
V2 = Installed("v2", "two", "20310203T040507Z", 2.0)


@pytest.fixture
def clock() -> Clock:
    return Clock(wall=lambda: 1000.0, monotonic=lambda: 0.0, jitter=lambda: 0.5)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a root that nothing has worked in yet."""
    return Settings(
        command="status",
        root=tmp_path,
        cache_dir=tmp_path / ".dewy/cache",
        registry="ghr://owner/app",
    )


@pytest.fixture
def state(clock: Clock) -> State:
    """v2 runs, v1 is kept, v3 failed."""
    quarantine = Quarantine().add("v3", "three", "died", clock, traffic=False)
    return State(running=V2, installed=(V2, V1), quarantine=quarantine)


@pytest.fixture
def worked(settings: Settings, state: State) -> Settings:
    """Settings of a root in which a dewy worked and left *state*."""
    settings.private.mkdir(mode=0o700)
    StateFile(settings.private).write(state)
    for installed in state.installed:
        (settings.root / "releases" / installed.directory).mkdir(parents=True)
    return settings


@pytest.fixture
def snapshot(state: State) -> dict[str, Any]:
    """What a dewy that supervises v2 says of itself."""
    generation = {"generation": 1, "pid": 8, "state": "ready", "since": 1, "status": ""}
    return status(
        state,
        1000.0,
        name="app",
        command="server",
        root="/srv/app",
        process=ProcessStatus(7, generations=[generation]),
    )


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago, with others above it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return min(found, 65535 - PORTS_TRIED)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chromium(tmp_path_factory.mktemp("chromium")) as devtools:
        yield devtools


@pytest.fixture
async def page(browser: str) -> AsyncIterator[Tab]:
    async with tab(browser) as it:
        await it.look()
        yield it
