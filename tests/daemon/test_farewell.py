"""The end of telemetry: begun early, waited for late."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from dewy.daemon.farewell import Farewell


async def test_end_that_was_begun_goes_on_beside_others() -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def telemetry():
        yield
        await go_on.wait()
        ended.set()

    async with Farewell(telemetry()) as farewell:
        farewell.begin()
        farewell.begin()
        await asyncio.sleep(0)
        assert not ended.is_set()
        go_on.set()
    assert ended.is_set()


async def test_end_that_was_not_begun_comes_with_its_own() -> None:
    ended = []

    @asynccontextmanager
    async def telemetry():
        yield
        ended.append(True)

    async with Farewell(telemetry()):
        assert [] == ended
    assert [True] == ended


async def test_fault_of_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def telemetry():
        yield
        raise LookupError("odd")

    async with Farewell(telemetry()):
        pass
    assert "Last telemetry ran into a fault" in caplog.text
