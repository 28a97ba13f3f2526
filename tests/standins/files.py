"""A file server on loopback, as object stores are: validators, ranges, faults."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

CHUNK = 64 << 10


@dataclass(frozen=True)
class Fault:
    """
    What happens to one request instead of a good answer.

    Attributes:
        status: Answer with this and nothing else.

        headers: Sent along; they replace those of a good answer.

        body: Answer with these bytes instead.

        after: Send this much of the body, then do what comes next.

        then: `cut` the connection, `stall` on it, or `trickle` a byte now and
            then.

        ignore_range: Answer a range with the whole.

        ignore_if_range: Answer with a range whatever is there by now.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    after: int = 0
    then: str = ""
    ignore_range: bool = False
    ignore_if_range: bool = False


GOOD = Fault()


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]


async def answer(
    request: web.Request, fault: Fault, headers: Mapping[str, str], ended: asyncio.Event
) -> web.StreamResponse:
    """Do what *fault* says, for faults that concern the answer as a whole."""
    if fault.then == "stall" and not fault.after:
        await ended.wait()
    body = b"" if fault.body is None else fault.body
    return web.Response(
        status=fault.status or 200, body=body, headers={**headers, **fault.headers}
    )


class FileServer:
    """
    Serves `files`, by path.

    Attributes:
        faults: Each befalls one request, in this order.

        seen: Every request so far; `asked` is set by the first, and `stalled` once
            a part of an answer is sent that is to stall there.

        validators: Sends ETag and Last-Modified.

        lengths: Sends Content-Length; else chunks.

        refuse_authorization: As signed URLs do.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.asked = asyncio.Event()
        self.stalled = asyncio.Event()
        self.validators = True
        self.lengths = True
        self.refuse_authorization = False
        self.url = ""
        self._ended = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        scheme = "https" if self._context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended.set()
        await self._runner.cleanup()

    def ranges(self) -> list[str | None]:
        """The Range header of each request so far."""
        return [seen.headers.get("Range") for seen in self.seen]

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(Seen(request.method, request.raw_path, request.headers.copy()))
        self.asked.set()
        fault = self.faults.pop(0) if self.faults else GOOD
        if request.path in self.redirects:
            return web.Response(
                status=302, headers={"Location": self.redirects[request.path]}
            )
        if self.refuse_authorization and "Authorization" in request.headers:
            return web.Response(status=400, text="only one auth mechanism allowed")
        if fault.status or fault.body is not None:
            return await answer(request, fault, {}, self._ended)
        if request.path not in self.files:
            return web.Response(status=404, text="no such key")
        return await self._send(request, self.files[request.path], fault)

    async def _send(
        self, request: web.Request, whole: bytes, fault: Fault
    ) -> web.StreamResponse:
        etag = f'"{hashlib.md5(whole).hexdigest()}"'
        start = 0 if fault.ignore_range else self._start(request, etag, fault)
        if start >= len(whole) and start:
            return web.Response(status=416)
        response = web.StreamResponse(status=206 if start else 200)
        body = memoryview(whole)[start:]
        if self.validators:
            response.headers["ETag"] = etag
            response.headers["Last-Modified"] = "Mon, 01 Jan 2029 00:00:00 GMT"
        if start:
            last = len(whole) - 1
            response.headers["Content-Range"] = f"bytes {start}-{last}/{len(whole)}"
        if self.lengths:
            response.content_length = len(body)
        response.headers.update(fault.headers)
        await response.prepare(request)
        await self._pour(request, response, body, fault)
        return response

    def _start(self, request: web.Request, etag: str, fault: Fault) -> int:
        unchanged = request.headers.get("If-Range", etag) == etag
        ranged = unchanged or fault.ignore_if_range
        return (request.http_range.start or 0) if ranged else 0

    async def _pour(
        self,
        request: web.Request,
        response: web.StreamResponse,
        body: memoryview,
        fault: Fault,
    ) -> None:
        end = fault.after if fault.then else len(body)
        for at in range(0, end, CHUNK):
            await response.write(body[at : min(at + CHUNK, end)])
        transport = request.transport
        assert transport is not None
        match fault.then:
            case "cut":
                transport.close()
            case "stall":
                self.stalled.set()
                await self._ended.wait()
            case "trickle":
                while not (transport.is_closing() or self._ended.is_set()):
                    await response.write(body[end : end + 1])
                    end += 1
                    await asyncio.sleep(0.005)
