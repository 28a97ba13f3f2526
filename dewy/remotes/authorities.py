"""
Certificate authorities that this host trusts, read again after a failed handshake.

`update-ca-certificates` and the like change the bundle while dewy runs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import ClientHandlerType

from ..ioprocess import brief, reading
from ..logs import Trouble, warn_once

__all__ = ["Authorities", "of_this_host", "read_again"]

log = logging.getLogger(__name__)

FileIdentity = tuple[int, int, int]


class Context(ssl.SSLContext):
    """
    TLS context that delegates handshakes to another one, which can be replaced.

    Attributes:
        current: The context with the authorities last read.
    """

    current: ssl.SSLContext

    async def read(self, load: Callable[[], ssl.SSLContext]) -> None:
        """Delegate to the context that *load* returns; it runs in a thread."""
        self.current = await asyncio.to_thread(load)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.current.wrap_bio(*args, **kwargs)


class Authorities:
    """
    The authorities in the files that OpenSSL reads by default.

    Attributes:
        context: The context for connections; call `load` before the first.
    """

    def __init__(self) -> None:
        self.context = Context(ssl.PROTOCOL_TLS_CLIENT)
        self._identity: FileIdentity | None = None
        self._loaded = False
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the authorities, unless they were read before."""
        async with self._lock:
            if not self._loaded:
                await self._read(await _file_identity())

    async def renewed(self) -> bool:
        """Read the authorities again if their file changed; return whether it did."""
        async with self._lock:
            identity = await _file_identity()
            if identity in (None, self._identity):
                return False
            await self._read(identity)
            log.info("Certificate authorities read again")
            return True

    async def _read(self, identity: FileIdentity | None) -> None:
        await self.context.read(_context)
        self._identity, self._loaded = identity, True
        warn_once(log, "authorities", await _troubles())


def of_this_host() -> Authorities:
    """Return the authorities of the running event loop."""
    return _by_loop.setdefault(asyncio.get_running_loop(), Authorities())


async def read_again(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send *request*; after a TLS failure, once more if the authorities changed."""
    if not request.is_ssl():
        return await send(request)
    await of_this_host().load()
    try:
        return await send(request)
    except aiohttp.ClientSSLError:
        if not await of_this_host().renewed():
            raise
    return await send(request)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Authorities] = (
    WeakKeyDictionary()
)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _file_identity() -> FileIdentity | None:
    """Return inode, size and modification time of the bundle; None without one."""
    file = _file()
    if file is None:
        return None
    try:
        stat = await brief.look(file.parent, reading.status, file)
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


async def _troubles() -> list[Trouble]:
    """Return why the file in `SSL_CERT_FILE` is of no use, if that is so."""
    file = _file() if os.environ.get("SSL_CERT_FILE") else None
    if file is None:
        return []
    try:
        # OpenSSL silently ignores a file that it cannot read.
        found = await brief.look(file.parent, reading.holds_certificates, file)
        reason = "" if found else "it holds no certificates in PEM form"
    except OSError as exc:
        reason = exc.strerror or str(exc)
    event = "Certificate authorities not read"
    return [Trouble(event, reason, str(file))] if reason else []


def _file() -> Path | None:
    stated = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(stated).absolute() if stated else None
