"""A journal of connections that ended, for who wants to read of each."""

from __future__ import annotations

import socket
from collections.abc import Callable

from .interface import Ended, shown

__all__ = ["Journal", "peer"]


class Journal:
    """
    Of no more than *size* connections: what finds no room until it is read is counted.

    Args:
        ring: Called when there is something to read.
    """

    def __init__(self, size: int, ring: Callable[[], None]) -> None:
        self._size = size
        self._ring = ring
        self._entries: list[Ended] = []
        self._missed = 0

    def enter(self, entry: Ended) -> None:
        """Write down a connection."""
        if len(self._entries) == self._size:
            self._missed += 1
            return
        self._entries.append(entry)
        self._ring()

    def take(self) -> tuple[list[Ended], int]:
        """What is in it, and how many found no room; it is empty then."""
        taken = self._entries, self._missed
        self._entries, self._missed = [], 0
        return taken


def peer(sock: socket.socket) -> str:
    """Who is at the other end of *sock*; "" if it broke off."""
    try:
        return shown(sock.getpeername())
    except OSError:
        return ""
