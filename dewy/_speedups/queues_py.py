"""Queues that the control plane reads: events, and the journal of connections."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from .interface import Ended, Event, shown

__all__ = ["EventQueue", "Journal", "peer"]


class EventQueue:
    """Queue of events without repetition; its descriptor is readable if any are in."""

    def __init__(self) -> None:
        self._events: dict[tuple[int, int], int] = {}
        self._ringing = False
        # Every system has these, unlike what is made for the purpose.
        self._bell, self._cord = socket.socketpair()
        for sock in (self._bell, self._cord):
            sock.setblocking(False)

    def fileno(self) -> int:
        return self._bell.fileno()

    def close(self) -> None:
        self._bell.close()
        self._cord.close()

    def say(self, kind: int, subject: int, detail: int = 0) -> None:
        """Add an event, unless it is queued already."""
        self._events.setdefault((kind, subject), detail)
        self.ring()

    def ring(self) -> None:
        """Make the descriptor readable."""
        if not self._ringing:
            self._ringing = True
            self._cord.send(b"!")

    def unsay(self, subject: int, kinds: Iterable[int]) -> None:
        """Remove events that are of no interest any more."""
        for kind in kinds:
            self._events.pop((kind, subject), None)

    def take(self) -> list[Event]:
        """Return the queued events, and remove them."""
        if self._ringing:
            self._ringing = False
            self._bell.recv(1)
        events, self._events = self._events, {}
        return [(*event, detail) for event, detail in events.items()]


class Journal:
    """
    Journal of *size* connections at most; those without room are only counted.

    Args:
        ring: Called when there is something to read.
    """

    def __init__(self, size: int, ring: Callable[[], None]) -> None:
        self._size = size
        self._ring = ring
        self._entries: list[Ended] = []
        self._missed = 0

    def enter(self, entry: Ended) -> None:
        """Add a connection."""
        if len(self._entries) == self._size:
            self._missed += 1
        else:
            self._entries.append(entry)
            self._ring()

    def take(self) -> tuple[list[Ended], int]:
        """Return the entries, and how many found no room; empty the journal."""
        taken = self._entries, self._missed
        self._entries, self._missed = [], 0
        return taken


def peer(sock: socket.socket) -> str:
    """Return the address of *sock*'s peer; "" if it broke off."""
    try:
        return shown(sock.getpeername())
    except OSError:
        return ""
