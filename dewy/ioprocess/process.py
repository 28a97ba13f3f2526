"""Starting, asking and abandoning helper processes."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

from ..system import reap_later
from ..threads import moment
from .protocol import LENGTH, Call, Raised, Returned, encode

__all__ = ["IOPool", "IOProcess"]

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Consume = Callable[[bytes], Awaitable[object]]

QUIET = 30.0
"""Seconds without a sign of life after which a call is given up."""

IDLE = 60.0
"""Seconds without a call after which the process is ended."""

DYING = 1.0
"""Seconds that a killed process which does not hang may take to be gone."""

POLL = 0.01
LOCALE = ("LANG", "LC_ALL", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING")


class IOProcess:
    """
    A process that looks at the files below *directory*, one call at a time.

    Started by the first call and ended when none came for a minute. Whoever
    cancels a call, or gets no sign of life, abandons the process: it is killed
    and not waited for. No other is started while it has not gone, so a directory
    that hangs costs one process however often it is asked for.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._turn = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._since = 0.0
        self._idle: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<IOProcess for {self.directory}>"

    @property
    def idle(self) -> bool:
        """True if the process neither answers a call nor hangs."""
        killed = self._channel is None and self._process is not None
        return not killed and not self._turn.locked()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def call(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """
        Return what *function*, defined at the top of a module, returns there.

        Raises:
            OSError: the directory hangs, or the process was killed.
            Exception: raised by the function.
        """
        result: T = await self._ask(Call(function, args, kwargs), _ignore)
        return result

    async def stream(
        self,
        consume: Consume,
        function: Callable[P, Generator[bytes, None, None]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Await *consume* with each piece that *function* yields; raises as `call`."""
        await self._ask(Call(function, args, kwargs), consume)

    async def close(self) -> None:
        """End the process; one that hangs is left behind."""
        if self._idle is not None:
            self._idle.cancel()
        self._kill()
        if not await self._gone() and self._process is not None:
            log.warning("Left a helper process that hangs", extra=self._fields())
            self._process = None

    async def _ask(self, request: Call, consume: Consume) -> Any:
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            await self._start()
            try:
                answer = await self._answer(request, consume)
            except BaseException:
                self._kill()
                raise
            self._idle = asyncio.create_task(self._end_idle(), name=f"{self!r} idle")
        if isinstance(answer, Raised):
            raise answer.error
        return answer.value

    async def _start(self) -> None:
        if self._channel is not None:
            return
        if not await self._gone():
            raise self._hangs()
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            self._process = _spawn(self.directory, theirs)

    async def _answer(self, request: Call, consume: Consume) -> Returned | Raised:
        self._since = time.time()
        try:
            async with asyncio.timeout(QUIET):
                await self._send(request)
            while True:
                async with asyncio.timeout(QUIET):
                    message = await self._receive()
                if isinstance(message, Returned | Raised):
                    return message
                self._since = time.time()
                if message:
                    await consume(message)
        except TimeoutError:
            raise self._hangs() from None
        except (EOFError, ConnectionError):
            reason = "its helper process was killed"
            raise OSError(errno.EIO, reason, str(self.directory)) from None

    async def _send(self, request: Call) -> None:
        assert self._channel is not None
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._channel, encode(request))

    async def _receive(self) -> Any:
        length: int = LENGTH.unpack(await self._exactly(LENGTH.size))[0]
        return pickle.loads(await self._exactly(length))

    async def _exactly(self, count: int) -> bytearray:
        assert self._channel is not None
        loop, buffer, done = asyncio.get_running_loop(), bytearray(count), 0
        with memoryview(buffer) as view:
            while done < count:
                got = await loop.sock_recv_into(self._channel, view[done:])
                if not got:
                    raise EOFError
                done += got
        return buffer

    async def _end_idle(self) -> None:
        await asyncio.sleep(IDLE)
        self._kill()
        await self._gone()

    def _kill(self) -> None:
        if self._channel is None:
            return
        self._channel.close()
        self._channel = None
        if self._process is not None:
            self._process.kill()
            reap_later(self._process)

    async def _gone(self) -> bool:
        """Wait for the process that was killed; False if it is still there."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DYING
        while self._process is not None and self._process.poll() is None:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(POLL)
        self._process = None
        return True

    def _hangs(self) -> OSError:
        reason = f"hangs since {moment(self._since)}"
        return OSError(errno.ETIMEDOUT, reason, str(self.directory))

    def _fields(self) -> dict[str, object]:
        pid = self._process.pid if self._process else 0
        return {"directory": str(self.directory), "pid": pid}


def _spawn(directory: Path, channel: socket.socket) -> subprocess.Popen[bytes]:
    # Like a program's, its end with dewy's is tied to the thread that starts it: the
    # loop's. It has no descriptor that somebody waits to see closed.
    kept = {name: os.environ[name] for name in LOCALE if name in os.environ}
    return subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "dewy.ioprocess.serve"),
            *(str(os.getpid()), str(directory)),
        ],
        cwd="/",
        env={**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


async def _ignore(piece: bytes) -> None:
    """Take nothing from a call that has no pieces."""


MOST = 2


class IOPool:
    """
    Helper processes by directory, of which the last few used are kept.

    Every version may have a directory of its own, so there is no end of them. One
    that is busy, or hangs, is kept: its directory must not cost another one.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._used: dict[Path, IOProcess] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        while self._used:
            await self._used.popitem()[1].close()

    async def get(self, directory: Path) -> IOProcess:
        """Return the process that alone touches what is below *directory*."""
        found = self._used.pop(directory, None) or IOProcess(directory)
        self._used[directory] = found
        spare = [d for d, each in self._used.items() if each.idle and each is not found]
        for old in spare[: max(len(self._used) - self._most, 0)]:
            await self._used.pop(old).close()
        return found
