"""A journal of connections that ended, for readers of single connections."""

from __future__ import annotations

import socket
from collections.abc import Callable

from .interface import Ended, shown

__all__ = ["Journal", "peer"]


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
            return
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
