"""Clients are made once, when they are first wanted, and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dewy.remotes import Clients


class Maker:
    """Counts how often its client was opened and closed."""

    def __init__(self) -> None:
        self.events: list[str] = []

    @asynccontextmanager
    async def make(self) -> AsyncIterator[object]:
        self.events.append("opening")
        await asyncio.sleep(0)
        self.events.append("open")
        yield object()
        self.events.append("closed")


async def test_client_is_made_on_first_use_and_shared() -> None:
    maker = Maker()
    async with Clients() as clients:
        assert [] == maker.events
        first = await clients.get("name", maker.make)
        assert first is await clients.get("name", maker.make)

    assert ["opening", "open", "closed"] == maker.events


async def test_client_wanted_twice_at_once_is_made_once() -> None:
    """Registry and store may ask for the same session at the same moment."""
    maker = Maker()
    async with Clients() as clients:
        first, second = await asyncio.gather(
            clients.get("name", maker.make), clients.get("name", maker.make)
        )

    assert first is second
    assert ["opening", "open", "closed"] == maker.events


async def test_clients_of_other_names_are_others() -> None:
    maker = Maker()
    async with Clients() as clients:
        one = await clients.get("one", maker.make)
        assert one is not await clients.get("two", maker.make)


async def test_client_may_be_made_of_another() -> None:
    maker = Maker()
    async with Clients() as clients:

        @asynccontextmanager
        async def outer() -> AsyncIterator[object]:
            yield await clients.get("inner", maker.make)

        made = await asyncio.wait_for(clients.get("outer", outer), 10)
        assert made is await clients.get("inner", maker.make)


async def test_client_that_could_not_be_made_is_made_next_time() -> None:
    maker = Maker()

    @asynccontextmanager
    async def broken() -> AsyncIterator[object]:
        raise ConnectionError
        yield

    async with Clients() as clients:
        with pytest.raises(ConnectionError):
            await clients.get("name", broken)
        await clients.get("name", maker.make)

    assert "closed" == maker.events[-1]
