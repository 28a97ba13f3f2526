"""The events of an engine, followed across its restarts."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from ...errors import EngineError
from ..model import Event
from . import decode
from .client import EngineClient
from .decode import Json

__all__ = [
    "EngineEvents",
]

log = logging.getLogger(__name__)

LONGEST_LINE = 1 << 20
FIRST_DELAY = 0.1
# Further unread events are left with the engine.
KEPT = 1000
# Events by which those that a stream repeats are known.
REMEMBERED = 256


@asynccontextmanager
async def follow(
    wire: EngineClient, labels: Mapping[str, str | None]
) -> AsyncIterator[EngineEvents]:
    """See `Engine.events`."""
    events = EngineEvents(KEPT)
    following = asyncio.create_task(
        _follow(wire, dict(labels), events), name="engine events"
    )
    try:
        yield events
    finally:
        following.cancel()
        await asyncio.wait([following])


async def _follow(
    wire: EngineClient, labels: Mapping[str, str | None], events: EngineEvents
) -> None:
    """Follow events for ever; pass an internal fault on to the reader."""
    delay, reading = FIRST_DELAY, _Reading(labels)
    try:
        while True:
            began = time.monotonic()
            try:
                await _once(wire, reading, events)
            except EngineError as exc:
                log.debug("lost the engine's events", extra={"error": str(exc)})
                reading = _Reading(labels)
            if time.monotonic() - began > wire.deadlines.backoff:
                delay = FIRST_DELAY
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(2 * delay, wire.deadlines.backoff)
    except Exception as exc:
        await events.tell(exc)
        raise


async def _once(wire: EngineClient, reading: _Reading, events: EngineEvents) -> None:
    """Follow events until the stream ends or breaks."""
    async with _opened(wire, reading.since(local=wire.place.local)) as answer:
        reading.known.update(await _ids(wire, reading.labels))
        await events.tell(Event("connected"))
        try:
            await _pass_on(wire, answer, reading, events)
        except EngineError:
            await events.tell(Event("lost"))
            raise
        await events.tell(Event("lost"))


async def _pass_on(
    wire: EngineClient,
    answer: aiohttp.ClientResponse,
    reading: _Reading,
    events: EngineEvents,
) -> None:
    async for data in _lines(wire, answer):
        async with wire.asking("tell events"):
            event = reading.read(data)
        if event is not None:
            await events.tell(event)


class _Reading:
    """
    Reading of the events that concern *labels*, over one stream after another.

    Podman ends its streams when the file of its events is rotated, at a megabyte. The
    next stream goes on where the last one ended.
    """

    def __init__(self, labels: Mapping[str, str | None]) -> None:
        self.labels = labels
        self.known: set[str] = set()
        self._last = 0
        self._read: deque[tuple[object, ...]] = deque(maxlen=REMEMBERED)
        self._stops = decode.Stops()

    def since(self, *, local: bool) -> str:
        """
        Return the moment from which events are wanted; "" for the engine's present.

        Both engines answer before they follow their own events. The clock of another
        host may differ, and is known from its first event on; ours may be set back.
        """
        now = time.time_ns()
        moment = min(self._last or now, now) if local else self._last
        return "{}.{:09}".format(*divmod(moment, 10**9)) if moment else ""

    def read(self, data: Json) -> Event | None:
        """Return the event that *data* tells; None if it is none, or not the first."""
        if self._is_repeated(data):
            return None
        event = decode.event(data, self.labels, self.known)
        if event is None:
            return None
        self.known.add(event.id)
        if event.action == "destroy":
            self.known.discard(event.id)
        return self._stops.of(event)

    def _is_repeated(self, data: Json) -> bool:
        # Podman takes a moment for its whole second.
        if not (at := data.get("timeNano")):
            return False
        who = (data.get("Actor") or {}).get("ID")
        key = at, data.get("Type"), data.get("Action"), who
        if key in self._read:
            return True
        self._read.append(key)
        self._last = int(at)
        return False


@asynccontextmanager
async def _opened(
    wire: EngineClient, since: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    params = {"filters": json.dumps({"type": ["container", "network"]})}
    if since:
        params["since"] = since
    async with wire.asking("tell events", wire.deadlines.hello):
        answer = await wire.docker.session.get(
            wire.url("events"), params=params, timeout=aiohttp.ClientTimeout(total=None)
        )
    try:
        async with wire.asking("tell events"):
            answer.raise_for_status()
        yield answer
    finally:
        answer.close()


async def _ids(wire: EngineClient, labels: Mapping[str, str | None]) -> set[str]:
    """
    Return the containers that carry *labels*; the call shows that the stream is up.
    """
    listed = await wire.containers(decode.label_filter(labels))
    return {entry.id for entry in listed}


async def _lines(
    wire: EngineClient, answer: aiohttp.ClientResponse
) -> AsyncIterator[Json]:
    buffer = b""
    while chunk := await _chunk(wire, answer):
        *lines, buffer = (buffer + chunk).split(b"\n")
        if len(buffer) > LONGEST_LINE:
            raise EngineError(f"{wire.title} sends an event without end")
        for line in filter(None, map(bytes.strip, lines)):
            yield await _object(wire, line)


async def _object(wire: EngineClient, line: bytes) -> Json:
    async with wire.asking("tell events"):
        data: Any = json.loads(line)
        if not isinstance(data, dict):
            raise TypeError("an event is an object")
        return data


async def _chunk(wire: EngineClient, answer: aiohttp.ClientResponse) -> bytes:
    """Return the next chunk; ping the engine after a long silence."""
    while True:
        try:
            async with asyncio.timeout(wire.deadlines.quiet):
                return await answer.content.readany()
        except TimeoutError:
            await wire.ping()
        except (aiohttp.ClientError, OSError) as exc:
            raise EngineError(f"{wire.title} broke off its events") from exc


class EngineEvents(AsyncIterator[Event]):
    """
    Queue of events in order; waiting for the next may be cancelled.

    Args:
        kept: Limit of unread events, at which `tell` waits; 0 means no limit.
    """

    def __init__(self, kept: int = 0) -> None:
        self._told: asyncio.Queue[Event | Exception] = asyncio.Queue(kept)

    def __repr__(self) -> str:
        return f"<Events: {self._told.qsize()} unread>"

    async def tell(self, what: Event | Exception) -> None:
        """Append an event, or an error, which is raised where it is read."""
        await self._told.put(what)

    def tell_now(self, what: Event) -> None:
        """Append an event to a queue without a limit."""
        self._told.put_nowait(what)

    async def __anext__(self) -> Event:
        what = await self._told.get()
        if isinstance(what, Exception):
            raise what
        return what
