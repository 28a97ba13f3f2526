"""
The control socket of a running dewy: `.dewy/admin.sock`.

One JSON object a line, `{"verb": "…", …}`, answered by one line, `{"ok": true, …}` or
`{"ok": false, "error": "…"}`. A request with `"stream": true` is answered by a line
`{"step": "…"}` for each step before that; if its client disconnects, its request is
cancelled, unless it has taken effect. Only dewy's user and root can open it: the socket
has mode 0600 and its directory 0700.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from ..errors import DewyError
from ..files import FULL
from ..logs import detailed, summary

log = logging.getLogger(__name__)

Progress = Callable[[str], None]
Handle = Callable[[str, dict[str, Any], Progress], Awaitable[dict[str, Any]]]

LONGEST_LINE = 64 * 1024
MOST_CLIENTS = 16


class ControlServer:
    """
    Server of the control socket while entered.

    Its owner holds the root's lock, so an existing socket is a leftover, and is
    replaced.

    Args:
        path: The path of the socket, in a directory that exists.

        handle: Does what a verb says and calls its last argument with each step;
            what it returns is sent beside `ok`. A DewyError or OSError becomes the
            answer.

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
        self._clients: dict[asyncio.Task[None], None] = {}
        self._busy: set[asyncio.Task[None]] = set()
        self._identity = (0, 0)
        self._leaving = False

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    @property
    def listens(self) -> bool:
        """Whether commands are answered."""
        return self._server is not None

    async def restore(self) -> bool:
        """
        Listen again if somebody removed the socket; return whether that was so.

        Raises:
            OSError: the socket cannot be created.
        """
        if self._server is None or await asyncio.to_thread(self._is_there):
            return False
        self._server.close()
        await self._open()
        return True

    async def _open(self) -> None:
        listener = await asyncio.to_thread(_listen, self.path)
        self._identity = await asyncio.to_thread(_identity, self.path)
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listener, limit=LONGEST_LINE
        )

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
            if self._is_there():
                self.path.unlink()

    def _is_there(self) -> bool:
        try:
            return _identity(self.path) == self._identity
        except FileNotFoundError:
            return False

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        full = not self._has_room()
        # A task of our own: the one asyncio makes complains when it is cancelled.
        work = self._attend(reader, writer, full)
        task = asyncio.create_task(work, name="admin client")
        self._clients[task] = None
        task.add_done_callback(lambda over: self._clients.pop(over, None))

    async def _attend(
        self, reader: StreamReader, writer: StreamWriter, full: bool
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if full:
                await self._answer(writer, _refusal("too many clients; try again"))
            else:
                await self._converse(task, reader, writer)
        except OSError as exc:
            log.debug("Lost an admin client", extra={"reason": summary(exc)})
        finally:
            writer.close()

    def _has_room(self) -> bool:
        """Return whether one more may come; the oldest that asks nothing makes room."""
        if len(self._clients) < MOST_CLIENTS:
            return True
        silent = next((c for c in self._clients if c not in self._busy), None)
        if silent is not None:
            silent.cancel()
        return silent is not None

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
                if not await self._serve(line, reader, writer):
                    return
            finally:
                self._busy.discard(task)

    async def _serve(
        self, line: bytes, reader: StreamReader, writer: StreamWriter
    ) -> bool:
        """Answer one request; return whether its client is still there."""
        try:
            verb, args = _request(line)
        except ValueError:
            refusal = _refusal('a request is one JSON object with a "verb"')
            await self._answer(writer, refusal)
            return True
        if not args.pop("stream", False):
            await self._answer(writer, await self._reply(verb, args, _unheard))
            return True

        def step(text: str) -> None:
            if not writer.is_closing():
                writer.write(_line({"step": text}))

        reply = await _unless_left(reader, self._reply(verb, args, step))
        if reply is not None:
            await self._answer(writer, reply)
        return reply is not None

    async def _reply(
        self, verb: str, args: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        try:
            return {"ok": True, **await self._handle(verb, args, progress)}
        except (DewyError, OSError) as exc:
            return _refusal(detailed(exc))
        except Exception as exc:
            log.exception("Failed to answer an admin request", extra={"verb": verb})
            return _refusal(f"the request failed: {summary(exc)}")

    async def _answer(self, writer: StreamWriter, reply: dict[str, Any]) -> None:
        writer.write(_line(reply))
        async with asyncio.timeout(self._patience):
            await writer.drain()


async def _unless_left(
    reader: StreamReader, work: Coroutine[Any, Any, dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the result of *work*; None, and *work* is over, if the client leaves."""
    working = asyncio.create_task(work, name="admin request")
    watching = asyncio.create_task(_left(reader), name="admin client leaving")
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait({working, watching})


async def _left(reader: StreamReader) -> None:
    """Return when the client has closed its end; it has nothing more to say."""
    with suppress(ConnectionError):
        while await reader.read(LONGEST_LINE):
            pass


def _unheard(text: str) -> None:
    """Drop the steps of a request that did not ask for them."""


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=str).encode() + b"\n"


def _listen(path: Path) -> socket.socket:
    # Bound under another name and renamed: the socket is seen with its mode and
    # listening, or not at all.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address(draft.parent, draft.name) as place:
            _bind(listener, place, path)
        draft.chmod(0o600)
        listener.listen(MOST_CLIENTS)
        draft.rename(path)
    except BaseException:
        listener.close()
        draft.unlink(missing_ok=True)
        raise
    listener.setblocking(False)
    return listener


def _bind(listener: socket.socket, place: str, path: Path) -> None:
    try:
        listener.bind(place)
    except OSError as exc:
        if exc.errno not in FULL or not path.exists():
            raise
        # A killed dewy left it: its inode is the only one there is.
        path.unlink()
        listener.bind(place)


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


# sockaddr_un has 108 bytes on Linux and 104 elsewhere, the closing zero included.
LONGEST = 100

SOCKET = "admin.sock"

PROXY_SOCKET = "proxy.sock"
"""Name of the socket of a `dewy proxy`, which may run beside the dewy of the root."""

PROXY_LOCK = "proxy.lock"

LOCKS = {SOCKET: "lock", PROXY_SOCKET: PROXY_LOCK}
"""Names of the locks that those hold who answer on the sockets."""


@contextmanager
def address(directory: Path, name: str) -> Iterator[str]:
    """
    Yield a path to *name* in *directory* that fits; valid inside the block.

    A long one goes through a descriptor of the directory.

    Raises:
        OSError: *directory* cannot be opened.
        DewyError: the path is too long and this is not Linux.
    """
    path = str(directory / name)
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    if sys.platform != "linux":
        raise DewyError(f"{path} is too long for a socket; use a shorter root")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
