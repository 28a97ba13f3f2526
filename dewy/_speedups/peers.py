"""
Peers of connections, as the system knows them: silent, local, or oneself.

A relay's own calls tell it little of silence: what the system holds for a slow reader
is taken long after the last of them. The system is asked only once those calls rest.

A receiver tells of what it reads in steps only: over loopback, of up to 128 KiB. Where
its socket is on the same host, the kernel can be asked about that one.
"""

from __future__ import annotations

import fcntl
import math
import socket
import struct
import sys
import termios
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = [
    "LOOKS",
    "Silence",
    "TakenLog",
    "is_self_connected",
    "unread",
]

LOOKS = 4  # in the time of an idle time-out, once the relay's own calls rest
# More for whom bytes wait that is not on this host, and no more than so many seconds:
# its system tells of what it reads in steps, of up to half its buffer.
STEPS = 3
STEP = 30.0

# Of Linux's struct tcp_info; `window` is there since 5.4, the rest since 4.1.
_AGES = struct.Struct("=52xII")
_COUNTS = struct.Struct("=120xQQ")
_WINDOW = struct.Struct("=228xI")


class Silence:
    """
    Silence of the peers of one connection.

    Args:
        allowed: Seconds of it.

        clock: Returns the time.
    """

    def __init__(self, allowed: float, clock: Callable[[], float]) -> None:
        self._allowed = allowed
        self._clock = clock
        self._seen: list[tuple[int, ...]] = []
        self._changed = -math.inf

    def left(self, active: float, sockets: Iterable[socket.socket]) -> float:
        """
        Return after how many seconds to ask again; 0 if it has lasted too long.

        Args:
            active: When the relay itself last exchanged bytes with either.
        """
        now = self._clock()
        signs = [_signs_of(sock) for sock in sockets]
        if (seen := [(each.sent, *each.taken) for each in signs]) != self._seen:
            self._seen, self._changed = seen, now
        vague = any(each.vague for each in signs)
        allowed = _allowed_silence(self._allowed, vague=vague)
        heard = min(each.heard for each in signs)
        left = allowed - max(heard, now - max(active, self._changed))
        return min(max(left, 0.0), self._allowed / LOOKS)


class TakenLog:
    """Log of what a client takes of whom no call tells that it takes something."""

    def __init__(self) -> None:
        self._taken: tuple[int, ...] = (-1,)

    def stalls(self, sock: socket.socket, quiet: float, allowed: float) -> bool | None:
        """
        Return whether the client of *sock* takes nothing; None if it has, since asked.

        Args:
            quiet: Seconds for which nothing was seen to be taken.
        """
        signs = _signs_of(sock)
        if signs.taken != self._taken:
            self._taken = signs.taken
            return None
        return quiet >= _allowed_silence(allowed, vague=signs.vague)


def _allowed_silence(allowed: float, *, vague: bool) -> float:
    return allowed + min(STEPS * allowed, STEP) if vague else allowed


class _Signs(NamedTuple):
    """
    Signs of life.

    Attributes:
        sent: Number that changes whenever the peer sends something.

        taken: Numbers that change whenever it takes something.

        heard: Seconds since its last packet; 0 if they are not known.

        vague: Whether bytes wait for it and its reading shows in steps.
    """

    sent: int = 0
    taken: tuple[int, ...] = ()
    heard: float = 0.0
    vague: bool = False


def _signs_of(sock: socket.socket) -> _Signs:
    if sys.platform != "linux":
        return _Signs()
    waiting = _waiting(sock, termios.TIOCOUTQ)
    if sock.family == socket.AF_UNIX:
        return _Signs(_waiting(sock, termios.FIONREAD), (waiting,))
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WINDOW.size)
    if len(info) < _COUNTS.size:
        return _Signs(taken=(waiting,))
    acked, received = _COUNTS.unpack_from(info)
    # The window opens as the peer reads what its own system held.
    window = _WINDOW.unpack(info) if len(info) == _WINDOW.size else ()
    if (left := unread(sock)) is not None:
        return _Signs(received, (acked, *window, left))
    return _Signs(
        received, (acked, *window), min(_AGES.unpack_from(info)) / 1000, waiting > 0
    )


def _waiting(sock: socket.socket, direction: int) -> int:
    """Return the bytes that wait in a socket to be taken."""
    return int.from_bytes(fcntl.ioctl(sock, direction, bytes(4)), sys.byteorder)


# See sock_diag(7): a netlink header, and struct inet_diag_req_v2.
_HEAD = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")
_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # of any interface and socket
_SIZE = _HEAD.size + _REQUEST.size + 36 + len(_COOKIE)
_UNREAD = struct.Struct("=72xI")
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUESTED = 1
_ANY_STATE = 0xFFFFFFFF


def unread(sock: socket.socket) -> int | None:
    """Return the bytes that wait at *sock*'s TCP peer; None if it is not known."""
    if sys.platform != "linux":
        return None
    try:
        own, peer = sock.getsockname(), sock.getpeername()
        if own[0] != peer[0]:
            return None
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as kernel:
            kernel.send(_request(sock.family, peer, own))
            answer = kernel.recv(512)
    except OSError:
        return None
    whole = len(answer) >= _UNREAD.size
    found = whole and _HEAD.unpack_from(answer)[1] == _SOCK_DIAG_BY_FAMILY
    return int(_UNREAD.unpack_from(answer)[0]) if found else None


def _request(family: int, local: tuple[str, int], remote: tuple[str, int]) -> bytes:
    ports = struct.pack("!HH", local[1], remote[1])
    addresses = (socket.inet_pton(family, each[0]) for each in (local, remote))
    return b"".join(
        (
            _HEAD.pack(_SIZE, _SOCK_DIAG_BY_FAMILY, _REQUESTED, 0, 0),
            _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ANY_STATE),
            ports,
            *(each.ljust(16, b"\0") for each in addresses),
            _COOKIE,
        )
    )


def is_self_connected(sock: socket.socket) -> bool:
    """
    Return whether *sock*, just connected, is connected to itself.

    That can happen where no process listens: the kernel may choose the called port as
    the caller's own, and two sockets that call each other get connected.
    """
    try:
        own, peer = sock.getsockname(), sock.getpeername()
    except OSError:  # it has been reset already
        return False
    return sock.family != socket.AF_UNIX and bool(own == peer)
