"""
The control socket of a running dewy: `.dewy/admin.sock`.

One JSON object a line, `{"verb": "…", …}`, answered by one line,
`{"ok": true, …}` or `{"ok": false, "error": "…"}`. Only the user dewy runs as
reaches it: the socket has mode 0600 and its directory 0700.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ..errors import DewyError
from ..logs import detailed, summary
from .address import address

__all__ = ["ControlServer", "Handle"]

log = logging.getLogger(__name__)

Handle = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

LONGEST_LINE = 64 * 1024
MOST_CLIENTS = 16


class ControlServer:
    """
    Answer the command line, until left.

    Whoever starts it holds the root's lock, so a socket that is there already
    belonged to a dewy that is gone, and is replaced.

    Args:
        path: Where the socket is put; its directory exists.

        handle: Does what a verb says; what it returns is sent beside `ok`. A
            DewyError or OSError becomes the answer.

        patience: Seconds a client may take to send a line or to take an answer.

        grace: Seconds that requests under way have when the server is left.
    """

    def __init__(
        self, path: Path, handle: Handle, *, patience: float = 10.0, grace: float = 2.0
    ) -> None:
        self.path = path
        self._handle = handle
        self._patience = patience
        self._grace = grace
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._identity = (0, 0)
        self._leaving = False

    async def __aenter__(self) -> Self:
        listener = await asyncio.to_thread(_listen, self.path)
        self._identity = await asyncio.to_thread(_identity, self.path)
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listener, limit=LONGEST_LINE
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        self._leaving = True
        await asyncio.to_thread(self._unlink)
        server.close()
        try:
            if self._busy:
                await asyncio.wait(self._busy, timeout=self._grace)
        finally:
            for task in self._clients:
                task.cancel()
        if self._clients:
            await asyncio.wait(self._clients)

    def _unlink(self) -> None:
        # Another dewy may have replaced it; its socket is not ours to remove.
        with suppress(OSError):
            if _identity(self.path) == self._identity:
                self.path.unlink()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("admin client")
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        try:
            if len(self._clients) > MOST_CLIENTS:
                await self._answer(writer, _refusal("too many clients; try again"))
            else:
                await self._converse(task, reader, writer)
        except (ConnectionError, TimeoutError) as exc:
            log.debug("Lost an admin client", extra={"reason": summary(exc)})
        finally:
            writer.close()

    async def _converse(
        self, task: asyncio.Task[None], reader: StreamReader, writer: StreamWriter
    ) -> None:
        while not self._leaving:
            try:
                async with asyncio.timeout(self._patience):
                    line = await reader.readline()
            except ValueError:
                refusal = _refusal(f"a request has at most {LONGEST_LINE} bytes")
                await self._answer(writer, refusal)
                return
            if not line.endswith(b"\n"):
                return
            self._busy.add(task)
            try:
                await self._answer(writer, await self._reply(line))
            finally:
                self._busy.discard(task)

    async def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            verb, args = _request(line)
        except ValueError:
            return _refusal('a request is one JSON object with a "verb"')
        try:
            return {"ok": True, **await self._handle(verb, args)}
        except (DewyError, OSError) as exc:
            return _refusal(detailed(exc))
        except Exception as exc:
            log.exception("Failed to answer an admin request", extra={"verb": verb})
            return _refusal(f"dewy could not do it: {summary(exc)}")

    async def _answer(self, writer: StreamWriter, reply: dict[str, Any]) -> None:
        writer.write(json.dumps(reply, default=str).encode() + b"\n")
        async with asyncio.timeout(self._patience):
            await writer.drain()


def _listen(path: Path) -> socket.socket:
    # Bound under another name and renamed: the socket is seen with its mode and
    # listening, or not at all.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address(draft.parent, draft.name) as place:
            listener.bind(place)
        draft.chmod(0o600)
        listener.listen(MOST_CLIENTS)
        draft.rename(path)
    except BaseException:
        listener.close()
        draft.unlink(missing_ok=True)
        raise
    listener.setblocking(False)
    return listener


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _request(line: bytes) -> tuple[str, dict[str, Any]]:
    data = json.loads(line)
    if not isinstance(data, dict) or not isinstance(data.get("verb"), str):
        raise ValueError("not a request")
    return data.pop("verb"), data


def _refusal(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}
