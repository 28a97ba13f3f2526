"""
A stand-in for Consul's key/value store, written from its documentation.

It was never compared with a real one. Tests that use it say so; where the real
program is found, the same tests run over that as well.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count

from aiohttp import web

LARGEST = 512 * 1024


@dataclass(frozen=True)
class Row:
    """An entry; *modified* is the index of its last change."""

    key: str
    value: bytes
    flags: int
    created: int
    modified: int

    def shown(self) -> dict[str, object]:
        return {
            "LockIndex": 0,
            "Key": self.key,
            "Flags": self.flags,
            "Value": base64.b64encode(self.value).decode() if self.value else None,
            "CreateIndex": self.created,
            "ModifyIndex": self.modified,
        }


class Consul:
    """
    What one agent answers.

    Attributes:
        rows: The entries; tests damage them, and make them older.

        refusing: The status that every write is answered with, or 0.

        hanging: While it is set, nothing is answered.

        babbling: While it is set, this is, to everything.

        puts: How many values were written.

        stalls_after: From this many on none is.

        leaving: Set when whoever hangs is to let go.
    """

    def __init__(self, token: str = "") -> None:
        self.rows: dict[str, Row] = {}
        self.refusing = 0
        self.hanging = False
        self.babbling: str | None = None
        self.puts = 0
        self.stalls_after: int | None = None
        self.leaving = asyncio.Event()
        self._token = token
        self._indexes = count(10)
        self._index = 10

    def age(self, seconds: int) -> None:
        """Have everything been written *seconds* earlier."""
        for key, row in self.rows.items():
            self.rows[key] = replace(row, flags=row.flags - seconds)

    def damage(self, prefix: str, change: Callable[[bytes], bytes]) -> int:
        """Change every value under *prefix*; how many there were."""
        found = [key for key in self.rows if key.startswith(prefix)]
        for key in found:
            row = self.rows[key]
            self.rows[key] = replace(row, value=change(row.value))
        return len(found)

    def app(self) -> web.Application:
        made = web.Application(client_max_size=64 << 20, middlewares=[self._guard])
        made.router.add_get("/v1/kv/{key:.*}", self._get, allow_head=False)
        made.router.add_put("/v1/kv/{key:.*}", self._put)
        made.router.add_delete("/v1/kv/{key:.*}", self._delete)
        return made

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], object],
    ) -> web.StreamResponse:
        if self.hanging:
            await self.leaving.wait()
        if self.babbling is not None:
            return web.Response(text=self.babbling)
        if self._token and request.headers.get("X-Consul-Token") != self._token:
            return web.Response(status=403, text="Permission denied: token lacks it")
        if request.method != "GET" and self.refusing:
            return web.Response(status=self.refusing, text="refused")
        return await handler(request)  # type: ignore[misc,no-any-return]

    async def _get(self, request: web.Request) -> web.Response:
        key, query = request.match_info["key"], request.query
        many = "recurse" in query or "keys" in query
        found = [self.rows[name] for name in sorted(self.rows) if name.startswith(key)]
        if not many:
            found = [row for row in found if row.key == key]
        index = str(max((row.modified for row in found), default=self._index))
        headers = {"X-Consul-Index": index}
        if not found:
            return web.Response(status=404, headers=headers)
        if "keys" in query:
            return web.json_response([row.key for row in found], headers=headers)
        return web.json_response([row.shown() for row in found], headers=headers)

    async def _put(self, request: web.Request) -> web.Response:
        key, value = request.match_info["key"], await request.read()
        if len(value) > LARGEST:
            return web.Response(status=413, text=f"Request body too large: {LARGEST}")
        present = self.rows.get(key)
        if not self._unchanged(request, present, create=True):
            return web.json_response(False)
        if self.puts == self.stalls_after:
            await self.leaving.wait()
        self.puts += 1
        self._index = next(self._indexes)
        created = present.created if present else self._index
        flags = int(request.query.get("flags", 0))
        self.rows[key] = Row(key, value, flags, created, self._index)
        return web.json_response(True)

    async def _delete(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if not self._unchanged(request, self.rows.get(key), create=False):
            return web.json_response(False)
        self._index = next(self._indexes)
        for name in list(self.rows):
            if name == key or ("recurse" in request.query and name.startswith(key)):
                del self.rows[name]
        return web.json_response(True)

    def _unchanged(
        self, request: web.Request, present: Row | None, *, create: bool
    ) -> bool:
        if "cas" not in request.query:
            return True
        index = int(request.query["cas"])
        if index == 0:
            return create and present is None
        return present is not None and present.modified == index


@asynccontextmanager
async def serving(
    consul: Consul, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Answer on a port of loopback; which one."""
    runner = web.AppRunner(consul.app(), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        consul.leaving.set()
        await runner.cleanup()
