"""Who reached an address: the packets this host sends there, as its kernel has them."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import suppress
from ctypes import addressof, create_string_buffer
from ipaddress import IPv4Address
from typing import Self

ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
LONGEST_PACKET = 1 << 16
ROOM = 1 << 22
MARK = re.compile(rb"\r\nX-Client: (\d+)\r\n")

# Of the packet filter's machine: load a word, compare it, return.
LOAD, IS_EQUAL, RETURN = 0x20, 0x15, 0x06
DESTINATION = 16  # of an IPv4 packet


class Witness:
    """
    While entered, notes which connections of the load carried a request to *address*.

    TCP sends a request only once the connection is made. So whoever was noted had
    been taken by whatever was at *address*, and was its to answer.

    Attributes:
        seen: Those connections, as `Conversation.number` has them.
    """

    def __init__(self, address: str) -> None:
        self.seen: set[int] = set()
        self._address = int(IPv4Address(address))
        self._tap: socket.socket

    async def __aenter__(self) -> Self:
        every = socket.htons(ETH_P_ALL)
        self._tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, every)
        self._tap.setblocking(False)
        self._tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        _admit_only(self._tap, self._address)
        # What was sent elsewhere before the filter was there.
        self._read()
        self.seen.clear()
        asyncio.get_running_loop().add_reader(self._tap, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._read()
        asyncio.get_running_loop().remove_reader(self._tap)
        self._tap.close()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.seen.update(map(int, MARK.findall(self._tap.recv(LONGEST_PACKET))))


def _admit_only(tap: socket.socket, destination: int) -> None:
    """Have the kernel show *tap* nothing but what goes to that IPv4 address."""
    program = [
        (LOAD, 0, 0, DESTINATION),
        (IS_EQUAL, 0, 1, destination),
        (RETURN, 0, 0, LONGEST_PACKET),
        (RETURN, 0, 0, 0),
    ]
    code = create_string_buffer(
        b"".join(struct.pack("=HBBI", *each) for each in program)
    )
    described = struct.pack("@HP", len(program), addressof(code))
    tap.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
