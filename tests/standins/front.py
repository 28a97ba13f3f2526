"""What stands before a server, and does to some requests what networks do."""

from __future__ import annotations

from typing import Self

import aiohttp
from aiohttp import web

from tests.standins.files import Fault

GOOD = Fault()
HOP = {"connection", "keep-alive", "transfer-encoding", "content-encoding"}


class Front:
    """
    Passes requests on to the server at *upstream*, unless a fault befalls them.

    Attributes:
        faults: Each befalls one request, in this order; `status` answers instead
            of the server, `cut` breaks the answer off after so many bytes.

        seen: Method, path and Range of each request so far.
    """

    def __init__(self, upstream: str) -> None:
        self.faults: list[Fault] = []
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
        await self._session.close()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range", "")
        self.seen.append((request.method, request.path, wanted))
        body = await request.read()
        fault = self.faults.pop(0) if self.faults else GOOD
        if fault.status:
            content = fault.body or b""
            return web.Response(
                status=fault.status, headers=fault.headers, body=content
            )
        async with self._session.request(
            request.method,
            self._upstream + request.raw_path,
            headers=request.headers,
            data=body,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP}
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        await response.write(content[: fault.after] if fault.then else content)
        if fault.then:
            assert request.transport is not None
            request.transport.close()
        return response
