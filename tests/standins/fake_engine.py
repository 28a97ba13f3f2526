"""An engine that hangs, breaks off and answers garbage, at a Unix socket."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiohttp import web

PODMAN = {"Libpod-API-Version": "4.3.1"}


@dataclass(frozen=True)
class Answer:
    """What is sent for one request; *content* as JSON unless it is bytes."""

    content: Any = None
    status: int = 200


@dataclass(frozen=True)
class Asked:
    """A request as it arrived, without the version of the API."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class FakeEngine:
    """
    Speaks as much of Docker's API as a test tells it.

    Attributes:
        answers: By path without version; the last of a list is repeated.

        asked: Every request but those for events.

        followed: The query of every request for events.

        hanging: Paths, or all with "*", that are never answered.

        headers: Of the answer to a ping.
    """

    def __init__(self, **headers: str) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[Asked] = []
        self.followed: list[dict[str, str]] = []
        self.hanging: set[str] = set()
        self.headers = {"Api-Version": "1.41", **headers}
        self.streams: list[web.StreamResponse] = []
        self._ended = asyncio.Event()
        self._broken = asyncio.Event()

    async def __aenter__(self) -> Self:
        # Socket addresses are short.
        self._directory = tempfile.TemporaryDirectory(prefix="dewy-")
        self.path = Path(self._directory.name) / "engine.sock"
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        self._broken.set()
        await self._runner.cleanup()
        self._directory.cleanup()

    async def start(self) -> None:
        """Listen; for the first time, or after `stop`."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    async def stop(self) -> None:
        """Be gone, and every connection with it."""
        self.break_streams()
        await self._runner.cleanup()
        self.path.unlink(missing_ok=True)

    async def restart(self) -> None:
        """Be another process at the same socket."""
        await self.stop()
        await self.start()

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def answer(self, path: str, content: Any, status: int = 200) -> None:
        """Answer the next request for *path*, and those after the last answer."""
        self.answers.setdefault(path, []).append(Answer(content, status))

    async def tell(self, event: Mapping[str, Any] | bytes) -> None:
        """Tell those who follow the events."""
        line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n"
        for stream in self.streams:
            await stream.write(line)

    def break_streams(self) -> None:
        """Break off all streams of events."""
        self._broken.set()
        self._broken = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.lstrip("/")
        if path.startswith(("v1.", "v4.")):
            path = path.partition("/")[2]
        body = await request.read()
        if self.hanging & {path, "*"}:
            await self._ended.wait()
        if path == "events":
            self.followed.append(dict(request.query))
            return await self._stream(request)
        self.asked.append(
            Asked(request.method, path, dict(request.query), request.headers, body)
        )
        if path == "_ping" and path not in self.answers:
            return web.Response(text="OK", headers=self.headers)
        return _response(self._next(path))

    def _next(self, path: str) -> Answer:
        prepared = self.answers.get(path)
        if not prepared:
            return DEFAULTS.get(path, Answer({"message": f"no such {path}"}, 404))
        return prepared.pop(0) if len(prepared) > 1 else prepared[0]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        broken = self._broken
        stream = web.StreamResponse()
        await stream.prepare(request)
        self.streams.append(stream)
        try:
            await broken.wait()
        finally:
            self.streams.remove(stream)
        return stream


DEFAULTS = {
    "info": Answer({"ID": "fake", "SecurityOptions": []}),
    "libpod/info": Answer(
        {"host": {"security": {"rootless": False}}, "store": {"graphRoot": "/fake"}}
    ),
    "containers/json": Answer([]),
}


def _response(answer: Answer) -> web.Response:
    if isinstance(answer.content, bytes):
        return web.Response(
            body=answer.content, status=answer.status, content_type="application/json"
        )
    return web.json_response(answer.content, status=answer.status)
