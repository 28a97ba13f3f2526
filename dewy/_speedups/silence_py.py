"""
Silence of peers, as the system knows it.

Its own calls tell a relay little of that: what the system holds for a slow reader is
taken long after the last of them. The system is asked only once those calls rest.
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

from .local_peer import unread

__all__ = ["LOOKS", "Silence", "TakenLog"]

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
