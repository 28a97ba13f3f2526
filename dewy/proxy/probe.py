"""Probe of a suspected backend, and the intervals of its repetition."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

from .._speedups.proxy_protocol import LOCAL
from .._speedups.self_connection import is_self_connected
from ..config import Endpoint
from ..system import SHORTAGE

__all__ = ["PATIENCE", "intervals", "reachable"]

PATIENCE = 2.0
# A process may accept on behalf of an application that is not there, and find out only
# then.
MOMENT = 0.1
FIRST, LONGEST = 0.5, 30.0


async def reachable(endpoint: Endpoint, *, proxy_protocol: bool = False) -> bool | None:
    """
    Return whether *endpoint* accepts a connection and keeps it for a moment.

    None is for a host that lacked what it takes to find out: a port or a descriptor.

    Args:
        proxy_protocol: Whether the backend expects the PROXY protocol first, which then
            names no client.
    """
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(endpoint.family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                await loop.sock_connect(sock, endpoint.address)
            if is_self_connected(sock):
                return False
            if proxy_protocol:
                await loop.sock_sendall(sock, LOCAL)
            return await _stays(sock)
    except OSError as exc:  # TimeoutError is one
        return None if exc.errno in SHORTAGE else False


async def _stays(sock: socket.socket) -> bool:
    try:
        async with asyncio.timeout(MOMENT):
            return bool(await asyncio.get_running_loop().sock_recv(sock, 1))
    except TimeoutError:
        return True


def intervals() -> Iterator[float]:
    """Yield the seconds from one probe of an ejected backend to the next."""
    seconds = FIRST
    while True:
        yield seconds
        seconds = min(seconds * 2, LONGEST)
