"""
Neighbor entries of containers, kept true when the address of their bridge changes.

A Linux bridge that was given no hardware address has the lowest of its ports', and so
another one once that port's container is gone. The containers that are left go on
sending to the old address, which nobody has, for half a minute and more: a download
from a replica that is draining stands still, and is cut off when its time is over. The
kernel drops the host's own entries in that moment, so the next packet to a container
makes the host ask for it, and that question tells the container the new address.

Docker gives its bridges an address, as netavark does since 1.9 (Podman 4.8) and
systemd-udevd where `MACAddressPolicy=persistent` is set.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self

__all__ = ["NeighborKeeper"]

log = logging.getLogger(__name__)

RTMGRP_LINK = 1  # <linux/rtnetlink.h>: links added, changed and removed
LARGEST = 65_536
DISCARD = 9  # RFC 863; whoever does not listen there answers that, and no more


class NeighborKeeper:
    """
    Sender of an empty datagram to each container whenever a link of this host changes.

    It works while entered, where the system tells of its links; elsewhere it does
    nothing.

    Args:
        addresses: Returns the IP addresses of the containers to be kept informed.
    """

    def __init__(self, addresses: Callable[[], Iterable[str]]) -> None:
        self._addresses = addresses
        self._links: socket.socket | None = None

    async def __aenter__(self) -> Self:
        try:
            links = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK
            )
            links.bind((0, RTMGRP_LINK))
        except (AttributeError, OSError) as exc:
            log.debug("Links of this host not watched", extra={"error": str(exc)})
            return self
        self._links = links
        asyncio.get_running_loop().add_reader(links, self._changed, links)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._links is not None:
            asyncio.get_running_loop().remove_reader(self._links)
            self._links.close()

    def _changed(self, links: socket.socket) -> None:
        _drain(links)
        for address in self._addresses():
            _knock(address)


def _drain(links: socket.socket) -> None:
    """Discard what was told of *links*: that something was is enough."""
    while True:
        try:
            links.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError as exc:
            # More than the socket's buffer holds are changes, too.
            if exc.errno != errno.ENOBUFS:
                raise


def _knock(address: str) -> None:
    """Send *address* a packet that asks nothing of it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # A container that is gone meanwhile has no route, and needs none.
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(b"", (address, DISCARD))
