"""What the twin has to tell the control plane, until it asks."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from .interface import Event

__all__ = ["EventQueue"]


class EventQueue:
    """
    Events, each told once, and a descriptor that is readable while there are any.

    A pair of sockets, since whatever else would do is not to be had everywhere.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._bell, self._cord = socket.socketpair()
        self._ringing = False
        for sock in (self._bell, self._cord):
            sock.setblocking(False)

    def fileno(self) -> int:
        return self._bell.fileno()

    def close(self) -> None:
        self._bell.close()
        self._cord.close()

    def say(self, kind: int, subject: int, detail: int = 0) -> None:
        """Tell this, unless it is on its way already."""
        if any((kind, subject) == event[:2] for event in self._events):
            return
        self._events.append((kind, subject, detail))
        self.ring()

    def ring(self) -> None:
        """Have somebody ask."""
        if not self._ringing:
            self._ringing = True
            self._cord.send(b"!")

    def unsay(self, subject: int, kinds: Iterable[int]) -> None:
        """That is of no interest any more."""
        self._events = [
            event
            for event in self._events
            if event[0] not in kinds or event[1] != subject
        ]

    def take(self) -> list[Event]:
        """What there is to tell; it is told by this."""
        if self._ringing:
            self._ringing = False
            self._bell.recv(1)
        events, self._events = self._events, []
        return events
