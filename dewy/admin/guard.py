"""Requests and connections that the admin API refuses whatever they are about."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware

__all__ = ["ConnectionLimiter", "guard", "harden", "is_local", "visit"]

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


MOST_VISITS = 64
LARGEST_HEAD = 512 * 1024
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 22\r\n\r\nToo many connections.\n"
)


class ConnectionLimiter:
    """
    A factory of a server's connections, which ends those that stay too long.

    Args:
        make: The server's own protocol for one connection.

        head: Seconds a client may take to send its request.

        answer: Seconds it may take from then on to have its answer.

        most: Connections at a time. One more takes the place of the one that has been
            without a request for longest; if all have one, it is told so and let go.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.BaseProtocol],
        *,
        head: float,
        answer: float,
        most: int = MOST_VISITS,
    ) -> None:
        self.make = make
        self.head = head
        self.answer = answer
        self.most = most
        self.visits: dict[Visit, None] = {}

    def __call__(self) -> Visit:
        return Visit(self)

    def has_room(self) -> bool:
        """Return whether one more may come, which may cost a silent one its place."""
        if len(self.visits) >= self.most:
            silent = next((each for each in self.visits if each.silent), None)
            if silent is not None:
                silent.end()
        return len(self.visits) < self.most


class Visit(asyncio.Protocol):
    """
    A connection; passes everything on to the server's protocol.

    Attributes:
        silent: True until its request has come.
    """

    def __init__(self, door: ConnectionLimiter) -> None:
        self._door = door
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._room = LARGEST_HEAD
        self.silent = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._door.has_room():
            self._transport.write(FULL)
            self._transport.close()
            return
        self._door.visits[self] = None
        self._end_in(self._door.head)
        self._inner = cast(asyncio.Protocol, self._door.make())
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.visits.pop(self, None)
        self._forget_timer()
        inner, self._inner = self._inner, None
        if inner:
            inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0 and self._transport:
            # The server has not seen a request in all this.
            self._transport.abort()
        elif self._inner:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner else None

    def pause_writing(self) -> None:
        if self._inner:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner:
            self._inner.resume_writing()

    def asked(self) -> None:
        """Note that the request has come; from now on its answer has to be taken."""
        self.silent = False
        self._room = 1 << 62
        self._end_in(self._door.answer)

    def end(self) -> None:
        """Let go of the client, at once."""
        self._door.visits.pop(self, None)
        if self._transport:
            self._transport.abort()

    def stays(self) -> None:
        """
        Note that the answer has no end; whoever sends it looks after slow clients.
        """
        self._forget_timer()

    def _end_in(self, seconds: float) -> None:
        self._forget_timer()
        if self._transport:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(seconds, self._transport.abort)

    def _forget_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
