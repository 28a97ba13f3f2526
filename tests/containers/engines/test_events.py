"""What was told waits for its reader."""

from __future__ import annotations

import asyncio

import pytest

from dewy.containers.engines.event_stream import EngineEvents
from dewy.containers.model import Event


async def test_events_come_in_their_order() -> None:
    events = EngineEvents()
    events.tell_now(Event("start", "a"))
    await events.tell(Event("die", "a"))

    assert [Event("start", "a"), Event("die", "a")] == [
        await anext(events),
        await anext(events),
    ]


async def test_producer_blocks_when_event_queue_is_full() -> None:
    events = EngineEvents(kept=1)
    await events.tell(Event("start", "a"))
    telling = asyncio.create_task(events.tell(Event("die", "a")))
    await asyncio.sleep(0)
    assert not telling.done()

    await anext(events)

    await telling


async def test_queued_error_is_raised_to_reader() -> None:
    events = EngineEvents()
    await events.tell(ValueError("a fault of ours"))

    with pytest.raises(ValueError, match="fault"):
        await anext(events)
