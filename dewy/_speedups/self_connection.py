"""Connections that a dead backend seems to have taken."""

from __future__ import annotations

import socket

__all__ = ["is_self_connected"]


def is_self_connected(sock: socket.socket) -> bool:
    """
    Whether *sock*, just connected, is connected to itself.

    So it may be where nobody listens: the kernel can choose the very port that is
    called as the caller's own, and two sockets that call each other get connected.
    """
    try:
        own, peer = sock.getsockname(), sock.getpeername()
    except OSError:  # it has been reset already
        return False
    return sock.family != socket.AF_UNIX and bool(own == peer)
