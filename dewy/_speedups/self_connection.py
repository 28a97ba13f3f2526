"""Detection of connections that a dead backend only seems to have accepted."""

from __future__ import annotations

import socket

__all__ = ["is_self_connected"]


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
