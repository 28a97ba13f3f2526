"""The local HTTP API: looking, never changing. Loopback only."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from ..errors import DewyError

if TYPE_CHECKING:
    from aiohttp import web

    from .metrics import Handler

__all__ = ["AdminAPI"]

log = logging.getLogger(__name__)

Snapshot = Callable[[], Awaitable[Mapping[str, Any]]]
Containers = Callable[[], "list[dict[str, Any]] | None"]

HOST = "127.0.0.1"
PORTS_TRIED = 10
HEADER_TIMEOUT = 5.0

_NUMBERS = {"server": 0, "assets": 1, "container": 2}
_LOCAL = r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?"
_LOCAL_HOST = re.compile(_LOCAL, re.ASCII | re.IGNORECASE)
_LOCAL_ORIGIN = re.compile(rf"https?://{_LOCAL}", re.ASCII | re.IGNORECASE)


class AdminAPI:
    """
    Serve `GET /api/status` and `GET /api/containers`, until left.

    Args:
        port: The first of ten ports tried; 0 serves nothing. Once entered, the
            port really bound.

        snapshot: The status, as `dewy status --json` prints it.

        containers: The replicas, where there are any.

        routes: Further paths that GET is answered at, and by whom.

        header_timeout: Seconds a client may take to send its request.
    """

    def __init__(
        self,
        port: int,
        snapshot: Snapshot,
        containers: Containers = lambda: None,
        *,
        routes: Mapping[str, Handler] | None = None,
        header_timeout: float = HEADER_TIMEOUT,
    ) -> None:
        self.port = port
        self._containers = containers
        self._snapshot = snapshot
        self._routes = dict(routes or {})
        self._header_timeout = header_timeout
        self._stack = AsyncExitStack()
        self._silent: set[asyncio.BaseProtocol] = set()

    async def __aenter__(self) -> Self:
        """
        Raises:
            DewyError: none of the ports is free.
        """
        if self.port:
            async with AsyncExitStack() as stack:
                await self._serve(stack)
                self._stack = stack.pop_all()
            log.info("Started admin API", extra={"address": f"{HOST}:{self.port}"})
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _serve(self, stack: AsyncExitStack) -> None:
        # Imported in a thread, for it takes a while.
        web = await asyncio.to_thread(import_module, "aiohttp.web")
        runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=1.0
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        server = await self._bind(runner.server)
        stack.callback(server.close)

    def _application(self) -> web.Application:
        from aiohttp import web

        @web.middleware
        async def guard(
            request: web.Request,
            handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        ) -> web.StreamResponse:
            self._silent.discard(request.protocol)
            # One request a connection, so that one deadline covers all headers.
            try:
                if not is_local(request.headers):
                    raise web.HTTPForbidden(text="This API is for local users only.\n")
                response = await handler(request)
            except web.HTTPException as refusal:
                refusal.force_close()
                raise
            response.force_close()
            return response

        async def status(request: web.Request) -> web.Response:
            return web.json_response(status_answer(await self._snapshot()))

        async def containers(request: web.Request) -> web.Response:
            return web.json_response({"containers": self._containers()})

        app = web.Application(middlewares=[guard], client_max_size=1024)
        app.router.add_get("/api/status", status, allow_head=False)
        app.router.add_get("/api/containers", containers, allow_head=False)
        for path, further in self._routes.items():
            app.router.add_get(path, further, allow_head=False)
        return app

    async def _bind(self, make: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
        loop = asyncio.get_running_loop()

        def connected() -> asyncio.BaseProtocol:
            protocol = make()
            self._silent.add(protocol)
            loop.call_later(self._header_timeout, self._give_up, protocol)
            return protocol

        first = self.port
        ports = range(first, min(first + PORTS_TRIED, 65536))
        for port in ports:
            try:
                server = await loop.create_server(connected, HOST, port)
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE:
                    raise DewyError(f"the admin API cannot listen: {exc}") from exc
                continue
            self.port = port
            return server
        raise DewyError(
            f"the admin API found no free port from {first} to {ports[-1]}; "
            "give another --admin-port, or 0 for none"
        )

    def _give_up(self, protocol: asyncio.BaseProtocol) -> None:
        if protocol in self._silent:
            self._silent.discard(protocol)
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()


def is_local(headers: Mapping[str, str]) -> bool:
    """
    Whether a request came from this host's own users, as far as it can tell.

    A page somebody's browser shows may reach loopback, but under its own Host
    (rebinding) or with its own Origin.
    """
    host, origin = headers.get("Host", "localhost"), headers.get("Origin")
    if not _LOCAL_HOST.fullmatch(host):
        return False
    return origin is None or _LOCAL_ORIGIN.fullmatch(origin) is not None


def status_answer(status: Mapping[str, Any]) -> dict[str, Any]:
    """*status* with the keys that the original's API had."""
    command = status["command"]
    running = status["running"]
    return {
        **status,
        "command": _NUMBERS.get(command, 0),
        "mode": command,
        "current_version": running["tag"] if running else "",
        "is_running": command == "server" and bool(status["generations"]),
        "proxy_backends": sum(bool(each["upstream"]) for each in status["replicas"]),
    }
