"""What stands before a server, and does to some requests what networks do."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Self

import aiohttp
from aiohttp import web

from tests.standins.files import Fault

GOOD = Fault()
HOP = {"connection", "expect", "keep-alive", "transfer-encoding"}


class Front:
    """
    Passes requests on to the server at *upstream*, unless a fault befalls them.

    Attributes:
        faults: Each befalls one request, in this order; `status` answers instead
            of the server, `cut` breaks the answer off after so many bytes.

        refusing: What everything but GET and HEAD is answered with, while it is set.

        hanging: Nothing is answered while this is so.

        authorized: The Authorization of each request so far, "" for none.

        seen: Method, path and Range of each request so far.
    """

    def __init__(self, upstream: str) -> None:
        self.faults: list[Fault] = []
        self.refusing: Fault | None = None
        self.hanging = False
        self._leaving = asyncio.Event()
        self.authorized: list[str] = []
        self.seen: list[tuple[str, str, str]] = []
        self.url = ""
        self._upstream = upstream
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving.set()
        await self._session.close()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range", "")
        self.seen.append((request.method, request.path, wanted))
        self.authorized.append(request.headers.get("Authorization", ""))
        body = await request.read()
        if self.hanging:
            await self._leaving.wait()
        fault = self.faults.pop(0) if self.faults else GOOD
        if self.refusing and request.method not in ("GET", "HEAD"):
            fault = self.refusing
        if fault.status:
            content = fault.body or b""
            return web.Response(
                status=fault.status, headers=fault.headers, body=content
            )
        async with self._session.request(
            request.method,
            self._upstream + request.raw_path,
            headers=_passed(request.headers),
            data=io.BytesIO(body) if body else None,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
        response = web.StreamResponse(
            status=answer.status, headers=_passed(answer.headers)
        )
        await response.prepare(request)
        await response.write(content[: fault.after] if fault.then else content)
        if fault.then:
            assert request.transport is not None
            request.transport.close()
        return response


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k.lower() not in HOP}
