"""
Bytes that a peer on this host has not read, as the kernel knows them.

A receiver tells of what it reads in steps only: over loopback, of up to 128 KiB. Where
its socket is on the same host, the kernel can be asked about that one.
"""

from __future__ import annotations

import socket
import struct
import sys

__all__ = ["unread"]

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
