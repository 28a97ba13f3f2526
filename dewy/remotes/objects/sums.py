"""Digests that stores keep of whole objects."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Protocol


class Sum(Protocol):
    """A digest that grows with its input."""

    def update(self, piece: bytes | bytearray, /) -> object: ...

    def digest(self) -> bytes: ...


class CRC32:
    """The checksum of zip and Ethernet, as big-endian bytes."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, piece: bytes | bytearray, /) -> None:
        self._sum = zlib.crc32(piece, self._sum)

    def digest(self) -> bytes:
        return self._sum.to_bytes(4, "big")


ORDER = ("sha256", "md5", "crc32c", "crc32")
"""The algorithms, the strongest first."""


def best(known: Iterable[str]) -> str:
    """Return which of the algorithms *known* to compare; "" for none."""
    return next((name for name in ORDER if name in known), "")


def begin(name: str) -> Sum:
    """Begin a sum, of nothing yet."""
    match name:
        case "crc32":
            return CRC32()
        case "crc32c":
            # Of Google's own library, without whose store nobody tells this sum.
            made: Sum = import_module("google_crc32c").Checksum()
            return made
        case _:
            return hashlib.new(name, usedforsecurity=False)


class DigestCheck:
    """
    The comparison of what arrives with the best of the digests that were *stated*.
    """

    def __init__(self, stated: Mapping[str, bytes]) -> None:
        self.name = best(stated)
        self._stated = stated.get(self.name)
        self._sum = begin(self.name) if self.name else None

    def update(self, piece: bytes | bytearray) -> None:
        """Take the next *piece*."""
        if self._sum is not None:
            self._sum.update(piece)

    @property
    def passed(self) -> bool:
        """True if all that arrived is what was stated, or nothing was stated."""
        return self._sum is None or self._sum.digest() == self._stated
