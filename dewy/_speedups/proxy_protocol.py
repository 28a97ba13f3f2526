"""The PROXY protocol, version 2, which tells a backend its client's address."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

__all__ = ["LOCAL", "preface"]

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_PROXIED = 0x21
_OTHER, _TCP4, _TCP6 = 0x00, 0x11, 0x21

# "This connection is the proxy's own", for probes.
LOCAL = struct.pack("!12sBBH", _SIGNATURE, 0x20, _OTHER, 0)


def preface(client: socket.socket) -> bytes:
    """
    Return the header for the connection of *client*.

    IPv4 clients of a dual-stack listener are declared as IPv4. Clients without an
    address (Unix sockets, or gone already) are declared as unknown.
    """
    try:
        return _header(client.getpeername(), client.getsockname())
    except OSError:
        return _header("", "")


def _header(peer: Any, local: Any) -> bytes:
    if not (isinstance(peer, tuple) and isinstance(local, tuple)):
        return struct.pack("!12sBBH", _SIGNATURE, _PROXIED, _OTHER, 0)
    source, target = _plain(peer[0]), _plain(local[0])
    family = _TCP4 if source.version == 4 else _TCP6
    addresses = source.packed + target.packed + struct.pack("!HH", peer[1], local[1])
    head = struct.pack("!12sBBH", _SIGNATURE, _PROXIED, family, len(addresses))
    return head + addresses


def _plain(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
