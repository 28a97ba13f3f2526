"""The local HTTP API: read-only, on loopback only."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from ..errors import DewyError
from . import page
from .events import EventStream
from .guard import ConnectionLimiter, guard, harden

if TYPE_CHECKING:
    from aiohttp import web


log = logging.getLogger(__name__)

Snapshot = Callable[[], Awaitable[Mapping[str, Any]]]
Containers = Callable[[], "list[dict[str, Any]] | None"]
Past = Callable[[], Sequence[Mapping[str, Any]]]

HOST = "127.0.0.1"
PORTS_TRIED = 10
HEADER_TIMEOUT = 5.0
ANSWER_TIMEOUT = 15.0
# For what a client still sends when it has its answer.
LINGERING = 0.25

_NUMBERS = {"server": 0, "assets": 1, "container": 2, "proxy": 3}


class AdminAPI:
    """
    Server of the page, and of its data under `/api/`, while entered.

    Args:
        port: The first of ten ports tried; 0 serves nothing. Once entered, the
            port really bound.

        snapshot: The status, as `dewy status --json` prints it.

        containers: The replicas, where there are any.

        past: The last deployments, newest first; called in a thread.

        routes: Further paths that GET is answered at, and by whom.

        header_timeout: Seconds a client may take to send its request.

        answer_timeout: Seconds it may take to have its answer then.
    """

    def __init__(
        self,
        port: int,
        snapshot: Snapshot,
        containers: Containers = lambda: None,
        past: Past = tuple,
        *,
        routes: Mapping[str, Handler] | None = None,
        header_timeout: float = HEADER_TIMEOUT,
        answer_timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        self.port = port
        self._containers = containers
        self._snapshot = snapshot
        self._past = past
        self._routes = dict(routes or {})
        self._header_timeout = header_timeout
        self._answer_timeout = answer_timeout
        self._stack = AsyncExitStack()
        self._ending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """
        Raises:
            DewyError: the ports are all taken.
        """
        if self.port:
            async with AsyncExitStack() as stack:
                await self._serve(stack)
                self._stack = stack.pop_all()
            log.info("Started admin API", extra={"address": f"{HOST}:{self.port}"})
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.leave()
        assert self._ending is not None
        await self._ending

    def leave(self) -> None:
        """Begin to stop, without waiting for requests under way; idempotent."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._stack.aclose(), name="admin API")

    async def _serve(self, stack: AsyncExitStack) -> None:
        # Imported in a thread, for it takes a while.
        web = await asyncio.to_thread(import_module, "aiohttp.web")
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            shutdown_timeout=1.0,
            lingering_time=LINGERING,
            # Else a stream would be found to be over by its next heartbeat only.
            handler_cancellation=True,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        server = await self._bind(runner.server)
        stack.callback(server.close)

    def _application(self) -> web.Application:
        from aiohttp import web

        app = web.Application(middlewares=[guard()], client_max_size=1024)
        app.on_response_prepare.append(harden)
        self._show(app, self._snapshot)
        for path, further in self._routes.items():
            app.router.add_get(path, further, allow_head=False)
        return app

    def _show(self, app: web.Application, snapshot: Snapshot) -> None:
        from aiohttp import web

        async def told() -> dict[str, Any]:
            return status_answer(await snapshot())

        async def status(request: web.Request) -> web.Response:
            return web.json_response(await told())

        async def containers(request: web.Request) -> web.Response:
            return web.json_response({"containers": self._containers()})

        events = EventStream(told, self._past)
        app.on_shutdown.append(events.end)
        app.router.add_get("/", page.serve, allow_head=False)
        app.router.add_get("/api/events", events.serve, allow_head=False)
        app.router.add_get("/api/status", status, allow_head=False)
        app.router.add_get("/api/containers", containers, allow_head=False)

    async def _bind(self, make: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
        doorman = ConnectionLimiter(
            make, head=self._header_timeout, answer=self._answer_timeout
        )
        server, self.port = await bind(doorman, self.port)
        return server


async def bind(
    make: Callable[[], asyncio.BaseProtocol], first: int
) -> tuple[asyncio.Server, int]:
    """
    Return a server at the first free port of ten from *first* on, and that port.

    Raises:
        DewyError: all of them are in use.
    """
    loop = asyncio.get_running_loop()
    ports = range(first, min(first + PORTS_TRIED, 65536))
    for port in ports:
        try:
            return await loop.create_server(make, HOST, port), port
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise DewyError(
                    f"the admin API cannot listen: {exc.strerror or exc}"
                ) from exc
    raise DewyError(
        f"the admin API found no free port from {first} to {ports[-1]}; "
        "give another --admin-port, or 0 for none"
    )


def status_answer(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return *status* with the keys that the original's API had."""
    command = status["command"]
    running = status["running"]
    return {
        **public(status),
        "command": _NUMBERS.get(command, 0),
        "mode": command,
        "current_version": running["tag"] if running else "",
        "is_running": command == "server" and bool(status["generations"]),
        "proxy_backends": _backends(status),
    }


def _backends(status: Mapping[str, Any]) -> int:
    """Return the number of replicas with an address, or of the proxy's backends."""
    replicas = sum(bool(each["upstream"]) for each in status["replicas"])
    return replicas + len(status.get("backends", ()))


def public(status: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *status* without the output of programs, which may contain secrets.

    Step, exit and category of a failure stay, and whether there is more to read.
    """
    return {
        **_without(status, "last_detail"),
        "quarantine": [_discreet(each) for each in status["quarantine"]],
        "generations": [_without(each, "status") for each in status["generations"]],
    }


def _discreet(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**_without(entry, "detail"), "wrote": bool(entry.get("detail"))}


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


def answering(text: Callable[[], Awaitable[bytes]], content_type: str) -> Handler:
    """Answer with what *text* says at that moment."""

    async def metrics(request: web.Request) -> web.Response:
        from aiohttp import web

        body = await text()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return metrics
