"""`GET /metrics` of the local HTTP API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["answering"]


def answering(text: Callable[[], Awaitable[bytes]], content_type: str) -> Handler:
    """Answer with what *text* says at that moment."""

    async def metrics(request: web.Request) -> web.Response:
        from aiohttp import web

        body = await text()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return metrics
