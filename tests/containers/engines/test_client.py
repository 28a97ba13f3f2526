"""Deadlines and translation of whatever is asked of an engine."""

from __future__ import annotations

import asyncio

import pytest

from dewy.containers.engines.client import EngineClient
from dewy.errors import EngineError
from tests.standins.fake_engine import FakeEngine


async def test_timeout_error_names_call_and_deadline(wire: EngineClient) -> None:
    with pytest.raises(EngineError, match=r"not dance: no answer for 0\.01 s"):
        async with wire.asking("dance", 0.01):
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (KeyError("Id"), "makes no sense"),
        (ValueError("not JSON"), "makes no sense"),
        (ConnectionResetError(), "hung up"),
    ],
)
async def test_client_fault_raises_engine_error_with_cause(
    wire: EngineClient, fault: Exception, said: str
) -> None:
    with pytest.raises(EngineError, match=said) as refused:
        async with wire.asking("dance"):
            raise fault

    assert fault is refused.value.__cause__


async def test_being_cancelled_is_no_failure(wire: EngineClient) -> None:
    async def ask() -> None:
        async with wire.asking("dance"):
            await asyncio.Event().wait()

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_engine_that_restarts_is_reached_at_once(
    fake: FakeEngine, wire: EngineClient
) -> None:
    """No call meets a connection that was kept from before."""
    await wire.ping()
    await fake.restart()

    await wire.ping()


async def test_failing_ping_is_a_failure(fake: FakeEngine, wire: EngineClient) -> None:
    fake.answer("_ping", "down", 500)
    fake.headers = {}

    with pytest.raises(EngineError):
        await wire.ping()
