"""Server-sent events of the admin API, sent as things change, and rates among them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .guard import visit

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["EventStream", "Rates", "counters"]

log = logging.getLogger(__name__)

Snapshot = Callable[[], Awaitable[Mapping[str, Any]]]
Past = Callable[[], Sequence[Mapping[str, Any]]]

MOST_CLIENTS = 8
PERIOD = 0.5
HEARTBEAT = 5.0
PATIENCE = 15.0
RETRY_MS = 2000
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8"}


class EventStream:
    """
    The stream of `status` and `history` events to clients, at first and on change.

    Each client has a request of its own: without clients, nothing is observed.

    Args:
        snapshot: Returns the content of `status` events.

        past: Returns the content of `history` events; called in a thread.

        most: Clients at a time; one more is refused.

        period: Seconds between two looks.

        heartbeat: Seconds without an event after which `clock` is sent again: a page
            that hears of nothing for longer takes the connection for lost.

        patience: Seconds a client may take to take what is sent.

        wall: Seconds since the epoch; told in `clock` events.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        past: Past = tuple,
        *,
        most: int = MOST_CLIENTS,
        period: float = PERIOD,
        heartbeat: float = HEARTBEAT,
        patience: float = PATIENCE,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._snapshot = snapshot
        self._past = past
        self._most = most
        self._period = period
        self._heartbeat = heartbeat
        self._patience = patience
        self._wall = wall
        self._clients = 0
        self._ended = asyncio.Event()

    async def end(self, app: object = None) -> None:
        """End every stream; their clients come back by themselves."""
        self._ended.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Return the handler of `GET /api/events`."""
        from aiohttp import web

        if self._clients >= self._most:
            raise web.HTTPServiceUnavailable(
                headers={"Retry-After": "10"}, text="Too many look already.\n"
            )
        self._clients += 1
        try:
            return await self._stream(request, web.StreamResponse(headers=HEADERS))
        finally:
            self._clients -= 1

    async def _stream(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        response.force_close()
        await response.prepare(request)
        if found := visit(request):
            found.stays()
        try:
            await self._tell(response)
        except TimeoutError:
            # The rest would wait for it, too.
            if request.transport:
                request.transport.abort()
        except ConnectionError:
            pass
        return response

    async def _tell(self, response: web.StreamResponse) -> None:
        loop = asyncio.get_running_loop()
        rates, told, last = Rates(), dict[str, str](), loop.time()
        await self._send(response, f"retry: {RETRY_MS}\n\n{self._clock()}")
        while not self._ended.is_set():
            for name, data in (await self._look(rates)).items():
                if told.get(name) != data:
                    await self._send(response, _event(name, data))
                    told[name], last = data, loop.time()
            if loop.time() - last >= self._heartbeat:
                await self._send(response, self._clock())
                last = loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self._ended.wait()

    async def _look(self, rates: Rates) -> dict[str, str]:
        """Return the data of every event, as they are now."""
        status = dict(await self._snapshot())
        status["replicas"] = [_without_labels(each) for each in status["replicas"]]
        now = asyncio.get_running_loop().time()
        status["rates"] = rates.take(now, counters(status))
        looked = {"status": json.dumps(status)}
        try:
            looked["history"] = json.dumps(await asyncio.to_thread(self._past))
        except OSError as exc:
            log.debug("History not read", extra={"error": str(exc)})
        return looked

    def _clock(self) -> str:
        return _event("clock", self._wall())

    async def _send(self, response: web.StreamResponse, text: str) -> None:
        async with asyncio.timeout(self._patience):
            await response.write(text.encode())


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _without_labels(replica: Mapping[str, Any]) -> dict[str, Any]:
    """Return *replica* without its labels, which are long and change nothing."""
    return {name: value for name, value in replica.items() if name != "labels"}


COUNTED = ("connections_total", "bytes_up", "bytes_down")

Counters = dict[str, tuple[int, ...]]


class Rates:
    """
    Rates over the last few seconds, of things that come and go.

    Args:
        window: Seconds. A longer one shows less of a single burst.
    """

    def __init__(self, window: float = 3.0) -> None:
        self._window = window
        self._taken: deque[tuple[float, Counters]] = deque()

    def take(self, now: float, counted: Counters) -> dict[str, dict[str, float]]:
        """
        Per second and by id, now that *counted* is what was counted by *now*.

        What was not there before moves nothing yet, nor does what began anew.
        """
        # The newest that is older than the window stays: it is where that begins.
        while len(self._taken) > 1 and self._taken[1][0] <= now - self._window:
            self._taken.popleft()
        self._taken.append((now, counted))
        return {each: self._rates(each, now, after) for each, after in counted.items()}

    def _rates(self, each: str, now: float, after: tuple[int, ...]) -> dict[str, float]:
        since, before = next(
            (at, taken[each]) for at, taken in self._taken if each in taken
        )
        seconds = now - since
        if seconds <= 0:
            return dict.fromkeys(COUNTED, 0.0)
        moved = (max(0, new - old) for new, old in zip(after, before, strict=True))
        return {
            name: round(count / seconds, 1)
            for name, count in zip(COUNTED, moved, strict=True)
        }


def counters(status: Mapping[str, Any]) -> Counters:
    """Return the counters in *status*, by id or address."""
    return {
        name: tuple(int(each.get(counter, 0)) for counter in COUNTED)
        for name, each in _counted(status)
    }


def _counted(status: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in (*status["replicas"], *status.get("backends", ())):
        yield each["id"], each
    # Only where the proxy listens is anything counted.
    for each in status["ports"]:
        if "connections_total" in each:
            yield each["address"], each
