"""Server-sent events: what changes, as it does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dewy.admin import events
from dewy.admin.http import AdminAPI
from tests.eventually import eventually
from tests.standins import shown
from tests.standins.browsing import (
    FOLLOWING,
    connected,
    get,
    parsed,
    telling,
    until_nobody_looks,
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = {**(events.EventStream.__init__.__kwdefaults__ or {}), "period": 0.02}
    monkeypatch.setattr(events.EventStream.__init__, "__kwdefaults__", defaults)


class Stream:
    """What comes by a connection, event by event."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader
        self.head = b""

    async def begin(self) -> None:
        self.head = await self.reader.readuntil(b"\r\n\r\n")

    async def block(self) -> str:
        """The next lines up to an empty one, chunked as they are sent."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readline()
        return data.decode()

    async def next(self, name: str) -> Any:
        """The data of the next event of that *name*."""
        while True:
            lines = (await self.block()).rstrip().splitlines()
            if f"event: {name}" in lines:
                return json.loads(lines[-1].removeprefix("data: "))


@asynccontextmanager
async def stream(port: int) -> AsyncIterator[Stream]:
    async with connected(port) as (reader, writer):
        writer.write(FOLLOWING)
        it = Stream(reader)
        await it.begin()
        yield it


async def test_everything_is_told_at_first(port: int) -> None:
    told = shown.rolling()
    api = AdminAPI(port, telling(told), past=lambda: [{"tag": "v1"}])
    async with api, stream(api.port) as it:
        assert b"Content-Type: text/event-stream" in it.head
        assert b"Connection: close" in it.head
        assert abs(await it.next("clock") - time.time()) < 3600
        status = await it.next("status")
        assert [{"tag": "v1"}] == await it.next("history")

    assert ("container", "v2.4.0") == (status["mode"], status["underway"]["tag"])
    counted = {each["id"] for each in status["replicas"]} | {shown.ADDRESS}
    assert counted == status["rates"].keys()
    assert all("labels" not in each for each in status["replicas"])


async def test_only_changed_state_is_sent_again(port: int) -> None:
    told, records = shown.serving(), [{"tag": "v1"}]
    api = AdminAPI(port, telling(told), past=lambda: list(records))
    async with api, stream(api.port) as it:
        await it.next("history")
        told["hold"] = True
        block = await it.block()
        assert block.startswith("event: status\n")
        assert json.loads(block.rstrip().splitlines()[-1].removeprefix("data: "))[
            "hold"
        ]
        records.insert(0, {"tag": "v2"})
        assert (await it.block()).startswith("event: history\n")


async def test_status_event_has_byte_rates_of_active_replicas(port: int) -> None:
    told = shown.rolling()
    async with AdminAPI(port, shown.Telling(told)) as api, stream(api.port) as it:
        first = (await it.next("status"))["rates"]
        second = (await it.next("status"))["rates"]

    assert {0.0} == {value for rate in first.values() for value in rate.values()}
    moving = {each for each, rate in second.items() if rate["bytes_down"]}
    serving = {r["id"] for r in told["replicas"] if r["phase"] == "serving"}
    assert serving | {shown.ADDRESS} == moving


async def test_quiet_stream_tells_the_time(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what stands between would end it, and a page could not tell a hang."""
    monkeypatch.setitem(events.EventStream.__init__.__kwdefaults__, "heartbeat", 0.05)
    api = AdminAPI(port, telling(shown.serving()))
    async with api, stream(api.port) as it:
        await it.next("history")
        assert abs(await it.next("clock") - time.time()) < 3600


async def test_status_is_not_polled_without_stream_clients(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as soon as the last one has left, not when it is to be told something."""
    monkeypatch.setitem(events.EventStream.__init__.__kwdefaults__, "heartbeat", 3600.0)
    looks = 0

    async def tell() -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return shown.serving(1.0)

    async with AdminAPI(port, tell) as api:
        async with stream(api.port) as it:
            await it.next("status")
        await until_nobody_looks(lambda: looks, port)
        assert looks


async def test_stream_beyond_client_limit_gets_503_with_retry_after(port: int) -> None:
    api = AdminAPI(port, telling(shown.serving()))
    async with api, asyncio.TaskGroup() as group:
        stays = asyncio.Event()

        async def look(ready: asyncio.Event) -> None:
            async with stream(api.port) as it:
                await it.next("status")
                ready.set()
                await stays.wait()

        looking = [asyncio.Event() for _ in range(events.MOST_CLIENTS)]
        for ready in looking:
            group.create_task(look(ready))
        for ready in looking:
            await ready.wait()
        async with connected(api.port) as (reader, writer):
            writer.write(FOLLOWING)
            code, headers, _ = parsed(await reader.read())
        assert (503, "10") == (code, headers["retry-after"])
        assert 200 == (await get(api.port, "/api/status"))[0]
        stays.set()


async def test_open_stream_is_terminated_cleanly_on_shutdown(port: int) -> None:
    """A stream ends with the API, properly; its client comes back by itself."""
    async with asyncio.timeout(30):
        api = AdminAPI(port, telling(shown.serving()))
        async with api, connected(api.port) as (reader, writer):
            writer.write(FOLLOWING)
            it = Stream(reader)
            await it.begin()
            await it.next("history")
            await api.__aexit__(None, None, None)
            rest = await reader.read()

    assert rest.endswith(b"0\r\n\r\n")


async def test_slow_sse_client_is_disconnected(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told must not pile up."""
    monkeypatch.setitem(events.EventStream.__init__.__kwdefaults__, "patience", 0.2)
    told = shown.serving()
    looks = 0

    async def tell() -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return {**told, "name": "x" * 1_000_000 + str(looks)}

    async with AdminAPI(port, tell) as api, connected(api.port) as (_, writer):
        writer.write(FOLLOWING)

        async def cut() -> bool:
            """Whoever does not read hears of it by what it sends."""
            try:
                if writer.is_closing():
                    return True
                writer.write(b"x")
                await writer.drain()
            except ConnectionError:
                return True
            return False

        await eventually(cut)
