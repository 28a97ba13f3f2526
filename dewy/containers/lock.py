"""
A lock on an application, so that two roots do not fight over its containers.

The lock is an abstract Unix socket. It leaves no file, is the same for all users, and
goes with its holder. Only dewys in the same network namespace see each other.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from ..errors import DewyError, RootBusy
from .application import Application

__all__ = ["engine_lock"]

PATIENCE = 2.0
"""Seconds for the holder to tell its root."""

LONGEST_ROOT = 4096


@asynccontextmanager
async def engine_lock(
    engine: str, application: Application, root: Path
) -> AsyncIterator[None]:
    """
    Hold the lock of *application* on *engine*, an `Engine.identity`, for *root*.

    Raises:
        RootBusy: another dewy holds it.
        DewyError: the lock is not available at all.
    """
    name = _name(engine, application)
    lock = await _bound(name, application, root)
    told = f"{root}\n".encode(errors="replace")
    # The server closes the socket.
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: _Holder(told), sock=lock
    )
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


async def _bound(name: str, application: Application, root: Path) -> socket.socket:
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(name)
    except OSError as exc:
        lock.close()
        if exc.errno != errno.EADDRINUSE:
            raise DewyError(f"the engine cannot be locked: {exc.strerror}") from exc
        raise RootBusy(_busy(await _holder(name), application, root)) from None
    lock.setblocking(False)
    return lock


def _busy(holder: str, application: Application, root: Path) -> str:
    if holder == _as_told(root):
        return f"another dewy works in {root}; one root has one dewy"
    return (
        f"the containers of {application.name} ({application.identity}) are kept by "
        f"the dewy in {holder or 'another root'}; give this application another --name"
    )


def _as_told(root: Path) -> str:
    return str(root).encode(errors="replace").decode()


async def _holder(name: str) -> str:
    """Return the root of the holder of the lock; "" if it does not tell."""
    knock = socket.socket(socket.AF_UNIX)
    knock.setblocking(False)
    loop = asyncio.get_running_loop()
    with knock:
        try:
            async with asyncio.timeout(PATIENCE):
                await loop.sock_connect(knock, name)
                told = await loop.sock_recv(knock, LONGEST_ROOT)
        except OSError:
            return ""
    return told.decode(errors="replace").partition("\n")[0]


class _Holder(asyncio.Protocol):
    """Server that tells other dewys which root holds the lock."""

    def __init__(self, told: bytes) -> None:
        self._told = told

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        writing = cast("asyncio.WriteTransport", transport)
        writing.write(self._told)
        writing.close()


def _name(engine: str, application: Application) -> str:
    """
    Return the lock's name in the abstract namespace, which begins with a zero byte.
    """
    key = f"{engine} {application.name} {application.identity}"
    return f"\0dewy-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
