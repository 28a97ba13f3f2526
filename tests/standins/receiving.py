"""Where notices arrive: a web server on loopback for Slack's API and for webhooks."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

SLACK_TOKEN = "xoxb-operators-own"


def kept(port: int) -> socket.socket:
    """A socket that has *port*, and does not listen yet: who connects is refused."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", port))
    return place


@dataclass(frozen=True)
class Received:
    """One request that was accepted."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """
    Accepts POST requests.

    Stopped, it keeps its port: nobody else may answer there meanwhile.

    Attributes:
        fault: `hang`, or a status to answer with instead.

        retry_after: Told with that status.

        slack_error: What Slack's API answers instead of `ok`.

        tries: Requests that came, accepted or not.
    """

    fault: str | int = ""
    retry_after: str = ""
    slack_error: str = ""
    tries: int = 0
    received: list[Received] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _place: socket.socket | None = None
    _port: int = 0
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [each.document for each in self.received]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
        if self._place:
            self._place.close()

    async def start(self) -> None:
        """Listen; again on the same port after a `stop`."""
        self._gone = asyncio.Event()
        app = web.Application()
        app.router.add_post("/api/chat.postMessage", self._slack)
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, self._place or kept(0)).start()
        self._place = None
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Be gone, and let go of whoever hangs."""
        self._gone.set()
        if self._runner:
            await self._runner.cleanup()
            self._runner, self._place = None, kept(self._port)

    async def _slack(self, request: web.Request) -> web.Response:
        failed = await self._fail()
        if failed:
            return failed
        known = request.headers.get("Authorization") == f"Bearer {SLACK_TOKEN}"
        error = self.slack_error or ("" if known else "invalid_auth")
        if error:
            return web.json_response({"ok": False, "error": error})
        await self._record(request)
        return web.json_response({"ok": True, "ts": "1.2"})

    async def _take(self, request: web.Request) -> web.Response:
        failed = await self._fail()
        if failed:
            return failed
        await self._record(request)
        return web.Response(status=204)

    async def _record(self, request: web.Request) -> None:
        body = await request.read()
        self.received.append(Received(request.raw_path, dict(request.headers), body))

    async def _fail(self) -> web.Response | None:
        self.tries += 1
        if self.fault == "hang":
            await self._gone.wait()
            return web.Response(status=503)
        if not self.fault:
            return None
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.Response(status=int(self.fault), text="hunter2", headers=headers)
