"""The time that stopping may take."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.config import Settings
from dewy.daemon import LastResort, shutdown
from dewy.signals import Signals


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        command="server", root=tmp_path, cache_dir=tmp_path, shutdown_timeout=3600.0
    )


@asynccontextmanager
async def stopping(
    settings: Settings, signals: Signals, work: Awaitable[object]
) -> AsyncIterator[threading.Event]:
    """A stop under way whose end is *work*; yields what is set by the last resort."""
    left = threading.Event()

    async def keep() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await work
        return 0

    keeping = asyncio.create_task(keep(), name="keep")
    await asyncio.sleep(0)
    keeping.cancel()
    with LastResort(lambda status: left.set()) as last_resort:
        ending = asyncio.create_task(
            shutdown.ended(keeping, settings, signals, last_resort), name="ending"
        )
        yield left
        async with asyncio.timeout(60):
            await ending
    assert keeping.done()


async def test_drain_is_cut_short_before_shutdown_timeout(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    brief = replace(settings, shutdown_timeout=0.2)
    signals = Signals()
    async with stopping(brief, signals, signals.hurry.wait()) as left:
        await signals.hurry.wait()

    assert not left.is_set()
    assert ["Killing what still drains, since --shutdown-timeout is nearly over"] == [
        record.getMessage() for record in caplog.records
    ]


async def test_shutdown_completing_in_time_is_not_forced(settings: Settings) -> None:
    signals = Signals()
    async with stopping(settings, signals, asyncio.sleep(0)) as left:
        pass

    assert not signals.hurry.is_set()
    assert not left.is_set()


@pytest.mark.parametrize("hurried", [False, True], ids=["time is over", "hurry"])
async def test_stop_that_never_ends_is_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, hurried: bool
) -> None:
    """A second signal does not wait for the whole time."""
    monkeypatch.setattr(shutdown, "MARGIN", 0.1)
    monkeypatch.setattr(shutdown, "KILLING", 0.1)
    settings = replace(settings, shutdown_timeout=3600.0 if hurried else 0.1)
    signals, never = Signals(), asyncio.Event()
    async with stopping(settings, signals, never.wait()) as left:
        if hurried:
            signals.hurry.set()
        assert await asyncio.to_thread(left.wait, 60)
        never.set()
