"""Opening of the sockets on which new connections arrive."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress

from ..config import Endpoint
from ..errors import DewyError

__all__ = ["BACKLOG", "listen", "taken"]

BACKLOG = 4096

Offered = Sequence[tuple[str, socket.socket]]


async def listen(endpoint: Endpoint) -> socket.socket:
    """
    Return a socket that listens at *endpoint*.

    Without a host it is one dual-stack socket, or an IPv4 one where the host has
    no IPv6. The file that a dead Unix socket left behind is replaced.

    Raises:
        DewyError: the socket cannot be opened; the message says why.
    """
    try:
        if endpoint.path:
            return await asyncio.to_thread(_listen_unix, endpoint.path)
        return _listen(endpoint)
    except OSError as exc:
        raise DewyError(_explain(endpoint, exc)) from exc


def taken(endpoint: Endpoint, offered: Offered) -> tuple[str, socket.socket] | None:
    """
    Return the socket of *offered* that listens at *endpoint*, or is named after it.
    """
    for name, sock in offered:
        if name in (str(endpoint), str(endpoint.port)) or endpoint == Endpoint.of(sock):
            return name, sock
    return None


def _listen(endpoint: Endpoint) -> socket.socket:
    try:
        return _bound(endpoint.family, endpoint)
    except OSError as exc:
        if endpoint.host or exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return _bound(socket.AF_INET, Endpoint("0.0.0.0", endpoint.port))


def _bound(family: socket.AddressFamily, endpoint: Endpoint) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only = bool(endpoint.host)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.bind(endpoint.address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _abandoned(path):
            os.unlink(path)
        sock.bind(path)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _abandoned(path: str) -> bool:
    """Return whether no process listens at the existing socket."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            return probe.connect_ex(path) == errno.ECONNREFUSED
    return False


def _explain(endpoint: Endpoint, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"{endpoint} is in use; stop what listens there, or use another"
    if exc.errno == errno.EACCES:
        return (
            f"{endpoint} needs root, CAP_NET_BIND_SERVICE or another mode of its path"
        )
    return f"{endpoint} cannot be listened at: {exc.strerror}"
