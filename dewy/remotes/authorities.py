"""
Certificate authorities that this host trusts, read again where one is missing.

A bundle is renewed by others, as by `update-ca-certificates`, while dewy runs.
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

Look = tuple[int, int, int]


class Context(ssl.SSLContext):
    """
    A context that passes handshakes on to another one, which may be replaced.

    Attributes:
        current: The context with the authorities as last read.
    """

    current: ssl.SSLContext

    async def read(self, load: Callable[[], ssl.SSLContext]) -> None:
        """Pass handshakes on to what *load*, called in a thread, returns."""
        self.current = await asyncio.to_thread(load)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.current.wrap_bio(*args, **kwargs)


class Authorities:
    """
    The authorities in the files that OpenSSL looks at.

    Attributes:
        context: For connections; of use after `load`.
    """

    def __init__(self) -> None:
        self.context = Context(ssl.PROTOCOL_TLS_CLIENT)
        self._seen: Look | None = None
        self._loaded = False
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Read them, the first time."""
        async with self._turn:
            if not self._loaded:
                await self._read(await _look())

    async def renewed(self) -> bool:
        """Read them again if their file has changed; return whether it has."""
        async with self._turn:
            look = await _look()
            if look in (None, self._seen):
                return False
            await self._read(look)
            log.info("Certificate authorities read again")
            return True

    async def _read(self, look: Look | None) -> None:
        await self.context.read(_context)
        self._seen, self._loaded = look, True
        warn_once(log, "authorities", await _troubles())


def of_this_host() -> Authorities:
    """Return the authorities for the event loop that runs."""
    return _by_loop.setdefault(asyncio.get_running_loop(), Authorities())


async def read_again(
    request: aiohttp.ClientRequest, send: ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send *request*, again where a certificate is trusted by now."""
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


async def _look() -> Look | None:
    """Return what changes with the bundle; None where there is none."""
    file = _file()
    if file is None:
        return None
    try:
        stat = await brief.look(file.parent, reading.status, file)
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


async def _troubles() -> list[Trouble]:
    """Return the trouble with the file that the environment names, if there is one."""
    file = _file() if os.environ.get("SSL_CERT_FILE") else None
    if file is None:
        return []
    try:
        # OpenSSL passes over a file that it cannot read.
        found = await brief.look(file.parent, reading.holds_certificates, file)
        reason = "" if found else "it holds no certificates in PEM form"
    except OSError as exc:
        reason = exc.strerror or str(exc)
    event = "Certificate authorities not read"
    return [Trouble(event, reason, str(file))] if reason else []


def _file() -> Path | None:
    stated = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return Path(stated).absolute() if stated else None
