"""
Dewy as a service of systemd: telling it how we are, taking its sockets.

The protocols are those of sd_notify(3) and sd_listen_fds(3). Dewy speaks them
itself because it needs nothing else of libsystemd.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping, Sequence
from typing import Self

log = logging.getLogger(__name__)

FIRST_DESCRIPTOR = 3


class Service:
    """
    The connection to the service manager; without effect where there is none.

    Args:
        address: The manager's notification socket; empty if there is none.

        watchdog: Seconds within which it wants a sign of life; 0 if it does not.

        names: Of the sockets it passed as descriptors 3, 4, …

    No method raises when the manager can't be reached: dewy runs on without.
    """

    def __init__(
        self, address: str = "", watchdog: float = 0.0, names: Sequence[str] = ()
    ) -> None:
        self._address = _socket_address(address)
        self._watchdog = watchdog
        self._offered = list(enumerate(names, FIRST_DESCRIPTOR))

    def __repr__(self) -> str:
        sockets = len(self._offered)
        return f"<Service watchdog={self._watchdog:g}s sockets={sockets}>"

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Self:
        """
        Read *environ*, and remove from it what was meant for this process only.

        The descriptors are kept from children at once; `listeners` takes them.
        """
        names = _names(
            environ.pop("LISTEN_PID", ""),
            environ.pop("LISTEN_FDS", ""),
            environ.pop("LISTEN_FDNAMES", ""),
        )
        environ.pop("LISTEN_PIDFDID", None)
        watchdog = _watchdog(
            environ.pop("WATCHDOG_PID", ""), environ.pop("WATCHDOG_USEC", "")
        )
        service = cls(environ.pop("NOTIFY_SOCKET", ""), watchdog, names)
        service._keep_from_children()
        return service

    def listeners(self) -> list[tuple[str, socket.socket]]:
        """
        Name and socket of each listening stream socket that was passed.

        They are the caller's from now on: a second call returns none. They are
        as blocking as they came, since that is shared with whoever passed them.
        """
        offered, self._offered = self._offered, []
        adopted = [(name, _adopt(fd, name)) for fd, name in offered]
        return [(name, sock) for name, sock in adopted if sock is not None]

    def ready(self, status: str) -> None:
        """Tell that start-up, or a reload, is over."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def stopping(self, status: str) -> None:
        """Shutdown has begun."""
        self._send("STOPPING=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Tell that a reload has begun; `ready` ends it (Type=notify-reload)."""
        now = time.monotonic_ns() // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def extend(self, seconds: float) -> None:
        """Ask that starting or stopping may take *seconds* from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    async def watch(self) -> None:
        """Give the signs of life that were asked for, until cancelled."""
        while self._watchdog and self._address:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)

    def _send(self, *fields: str) -> None:
        if not self._address:
            return
        message = "\n".join(field.replace("\n", " ") for field in fields)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode(errors="replace"), self._address)
        except OSError as exc:
            log.debug("Service manager not reached", extra={"error": str(exc)})

    def _keep_from_children(self) -> None:
        for fd, name in self._offered:
            try:
                os.set_inheritable(fd, False)
            except OSError as exc:
                log.debug("Descriptor missing", extra={"fd": name, "error": str(exc)})


def _socket_address(text: str) -> bytes:
    """
    Return the address for sendto(); empty for unsupported kinds, such as `vsock:`.
    """
    if text.startswith("@"):
        return b"\0" + os.fsencode(text[1:])
    return os.fsencode(text) if text.startswith("/") else b""


def _watchdog(pid: str, microseconds: str) -> float:
    if pid and pid != str(os.getpid()):
        return 0.0
    return _number(microseconds) / 1e6


def _names(pid: str, count: str, names: str) -> list[str]:
    """Return a name for each descriptor; `unknown` where the manager gave none."""
    if pid != str(os.getpid()):
        return []
    given = names.split(":") if names else []
    return [given[n] if n < len(given) else "unknown" for n in range(_number(count))]


def _number(text: str) -> int:
    # Longer than any descriptor count or period, and than what int() refuses.
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _adopt(fd: int, name: str) -> socket.socket | None:
    """Return the listening stream socket at *fd*, or None, with *fd* closed."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError as exc:
        _refuse(name, str(exc))
        _close(fd)
        return None
    if sock.type == socket.SOCK_STREAM and _listens(sock):
        return sock
    _refuse(name, "not a listening stream socket")
    sock.close()
    return None


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _refuse(name: str, reason: str) -> None:
    log.warning("Passed descriptor refused", extra={"fd": name, "reason": reason})


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError as exc:
        log.debug("Descriptor missing", extra={"fd": fd, "error": str(exc)})
