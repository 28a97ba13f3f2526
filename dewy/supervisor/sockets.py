"""Listening sockets that every generation inherits."""

from __future__ import annotations

import asyncio
import errno
import logging
import select
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from ..config import Address, Endpoint
from ..errors import DewyError
from ..logs import duration
from .probe import LOOPBACK
from .processes import holder

log = logging.getLogger(__name__)

BACKLOG = 4096
RETRY = 0.1

EndLeft = Callable[[int], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Listener:
    """Listening socket, with the name programs know it by."""

    name: str
    socket: socket.socket


class Listeners:
    """
    Listening sockets of a root, in the order programs see them.

    They stay blocking: O_NONBLOCK belongs to what parent and children share.

    Attributes:
        reopened: Time of the loop, by name, of each that was opened again last.
    """

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = tuple(listeners)
        self.reopened: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for listener in self._listeners:
            listener.socket.close()

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._listeners)

    def __repr__(self) -> str:
        return f"<Listeners {', '.join(self.names) or 'none'}>"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(listener.name for listener in self._listeners)

    @property
    def addresses(self) -> list[str]:
        """Addresses at which programs are reached."""
        return [str(Endpoint.of(listener.socket)) for listener in self._listeners]

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(listener.socket.fileno() for listener in self._listeners)

    def restore(self) -> None:
        """
        Listen as at the start again, whatever a program did to the sockets.

        All generations share the sockets. A program that calls listen(2) by itself, as
        most servers do, shortens the queue for all of them; a program that calls
        shutdown(2) on a socket, as WEBrick does when it ends, closes the port for all.
        The latter is logged, and so is a failure. Call it in the loop.
        """
        for listener in self._listeners:
            closed = not listener.socket.getsockopt(
                socket.SOL_SOCKET, socket.SO_ACCEPTCONN
            )
            try:
                listener.socket.listen(BACKLOG)
            except OSError as exc:
                fields = {"port": listener.name, "error": str(exc)}
                log.error("Port not open", extra=fields)
                continue
            if closed:
                self.reopened[listener.name] = asyncio.get_running_loop().time()
                log.warning(
                    "Opened port again, which a program closed by shutdown(2)",
                    extra={"port": listener.name},
                )

    @contextmanager
    def watched(self) -> Iterator[None]:
        """
        Call `restore` as soon as a program closes a port, while this is entered.

        Linux tells at once; elsewhere nothing happens here. Call it in the loop.
        """
        if sys.platform != "linux" or not self._listeners:
            yield
            return
        loop = asyncio.get_running_loop()
        with select.epoll() as hangups:
            for descriptor in self.descriptors:
                # No event but EPOLLHUP, which cannot be left out.
                hangups.register(descriptor, 0)
            loop.add_reader(hangups, self._closed, hangups)
            try:
                yield
            finally:
                loop.remove_reader(hangups)

    def _closed(self, hangups: select.epoll) -> None:
        self.restore()
        for descriptor, _ in hangups.poll(0):
            # It stays closed: reported once, not for ever.
            hangups.unregister(descriptor)

    @property
    def lowest(self) -> tuple[str, int] | None:
        """Host and port of the TCP listener with the lowest port."""
        addresses = [
            listener.socket.getsockname()[:2]
            for listener in self._listeners
            if listener.socket.family in (socket.AF_INET, socket.AF_INET6)
        ]
        return min(addresses, key=lambda address: int(address[1]), default=None)

    @property
    def health_endpoint(self) -> Endpoint | None:
        """Address of health checks; None without a TCP listener."""
        if self.lowest is None:
            return None
        host, port = self.lowest
        return Endpoint(LOOPBACK.get(host, host), port)


async def open_listeners(
    addresses: Sequence[Address],
    offered: Iterable[tuple[str, socket.socket]],
    patience: float,
    end_left: EndLeft | None = None,
) -> Listeners:
    """
    Listen on *addresses*, taking what the service manager *offered* first.

    An offered socket serves the address it is bound to, or the one it is named
    after; offered sockets that no address asks for are passed on as well.

    Args:
        patience: Seconds to wait for an address in use.

        end_left: Ends a program that an earlier dewy left at a port, and returns
            whether one is ending; that is waited for.

    Raises:
        DewyError: an address cannot be listened on.
    """
    spare = list(offered)
    opened: list[Listener] = []
    try:
        for address in addresses:
            taken = _match(address, spare)
            if taken:
                spare.remove(taken)
            sock = taken[1] if taken else await _listen(address, patience, end_left)
            opened.append(Listener(address.name, sock))
    except BaseException:
        for sock in (*(listener.socket for listener in opened), *(s for _, s in spare)):
            sock.close()
        raise
    return Listeners([*opened, *(Listener(_name(s), s) for _, s in spare)])


def _match(
    address: Address, offered: Sequence[tuple[str, socket.socket]]
) -> tuple[str, socket.socket] | None:
    for candidate in offered:
        name, sock = candidate
        if name in (address.name, str(address.port)):
            return candidate
        bound = sock.getsockname()
        if sock.family == socket.AF_UNIX or bound[1] != address.port:
            continue
        if bound[0] in (address.host, "::"):
            return candidate
    return None


async def _listen(
    address: Address, patience: float, end_left: EndLeft | None
) -> socket.socket:
    loop = asyncio.get_running_loop()
    begun, who = loop.time(), ""
    deadline = begun + patience
    while True:
        try:
            sock = _bind(address)
        except OSError as exc:
            in_use = exc.errno == errno.EADDRINUSE
            if in_use and end_left and await end_left(address.port):
                deadline = loop.time() + patience
            if not in_use or loop.time() >= deadline:
                raise DewyError(await _explain(address, exc)) from exc
        else:
            if who:
                took = duration(loop.time() - begun)
                told = {"port": address.name, "holder": who, "took": took}
                log.warning("Waited for port", extra=told)
            return sock
        if not who:
            who = await asyncio.to_thread(holder, address.port)
            told = {"port": address.name, "holder": who, "timeout": duration(patience)}
            log.warning("Waiting for port", extra=told)
        await asyncio.sleep(RETRY)  # no event tells that a port is free again


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


async def _explain(address: Address, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        who = await asyncio.to_thread(holder, address.port)
        return f"--port {address.name} is in use by {who}; stop it, or use another port"
    if exc.errno == errno.EACCES:
        return f"--port {address.name} needs root or CAP_NET_BIND_SERVICE"
    return f"--port {address.name} cannot be opened: {exc.strerror}"


def _name(sock: socket.socket) -> str:
    """Return the bound address of *sock* in Server::Starter's spelling."""
    bound = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return bound if isinstance(bound, str) else f"@{bound[1:].decode()}"
    host, port = bound[:2]
    if host == "0.0.0.0":
        return str(port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
