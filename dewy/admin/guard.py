"""Requests that the admin API refuses whatever they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .connection_limiter import Visit

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware

__all__ = ["guard", "harden", "is_local", "visit"]

LARGEST_BODY = 1024

_LOCAL = r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?"
_LOCAL_HOST = re.compile(_LOCAL, re.ASCII | re.IGNORECASE)
_LOCAL_ORIGIN = re.compile(rf"https?://{_LOCAL}", re.ASCII | re.IGNORECASE)

# An answer is for whoever asked, as what it says it is, now, and in no frame.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def guard() -> Middleware:
    """Make the middleware; only when it is wanted, because aiohttp takes a while."""
    from aiohttp import web

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if found := visit(request):
            found.asked()
        # A connection carries one request, so that one deadline covers all of it.
        try:
            if not is_local(request.headers):
                raise web.HTTPForbidden(text="This API is for local users only.\n")
            if request.body_exists and (
                request.content_length is None or request.content_length > LARGEST_BODY
            ):
                raise web.HTTPRequestEntityTooLarge(
                    LARGEST_BODY, text="Requests have no body here.\n"
                )
            response = await handler(request)
        except web.HTTPException as refusal:
            refusal.force_close()
            raise
        response.force_close()
        return response

    return guarded


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Set what every answer says, unless it says otherwise."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def visit(request: web.Request) -> Visit | None:
    """Return the connection that *request* came by; None once it is gone."""
    transport = request.transport
    found = transport.get_protocol() if transport else None
    return found if isinstance(found, Visit) else None


def is_local(headers: Mapping[str, str]) -> bool:
    """
    Return whether a request came from this host's own users, as far as it can tell.

    A page somebody's browser shows may reach loopback, but under its own Host
    (rebinding), with its own Origin, or, where it asks for what is no text of its
    own, as an image, with a note of the browser's. Following a link is no harm.
    """
    host, origin = headers.get("Host", "localhost"), headers.get("Origin")
    if not _LOCAL_HOST.fullmatch(host):
        return False
    followed = headers.get("Sec-Fetch-Dest") == "document"
    if headers.get("Sec-Fetch-Site") == "cross-site" and not followed:
        return False
    return origin is None or _LOCAL_ORIGIN.fullmatch(origin) is not None
