"""
Content codings that a server applied though none was asked for.

It may have put a coding on for the way, or carry it as a mark of a file that was stored
packed: only the file itself tells the one from the other.
"""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import RemoteError

__all__ = ["Coding", "coding_of"]

GZIP = b"\x1f\x8b"
MAGIC = {
    (".gz", ".tgz"): GZIP,
    (".zst", ".tzst"): b"\x28\xb5\x2f\xfd",
    (".xz", ".txz"): b"\xfd7zXZ\0",
    (".bz2", ".tbz2"): b"BZh",
    (".zip",): b"PK",
}
"""The first bytes of packed files, by the ends of their names."""

NONE = frozenset(
    {"", "identity", "aws-chunked", "none", "binary", "7bit", "8bit", "utf-8", "utf8"}
)
"""
Values that change nothing.

`aws-chunked` is left of an upload to S3, others are of somebody who misread the name of
the header.
"""

CHUNK = 1 << 20


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the content coding of an answer, "" for none; of several, all."""
    stated = headers.get("Content-Encoding", "").lower().split(",")
    return ", ".join(name for each in stated if (name := each.strip()) not in NONE)


@dataclass(frozen=True, slots=True)
class Coding:
    """
    The coding *name* that *host* put on *file*.

    Attributes:
        expected: Published size of the file in bytes, or None.
    """

    host: str
    name: str
    file: str
    expected: int | None = None

    def remove(self, arrived: Path, into: Path) -> bool:
        """
        Write the file to *into* as it was before; False if it *arrived* as published.

        Raises:
            RemoteError: the coding cannot be taken off, or the file is another one.
        """
        if self._is_published(arrived):
            return False
        if not self._is_gzip():
            raise RemoteError(f"{self._what()}, which cannot be taken off")
        try:
            with gzip.open(arrived) as source, into.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise RemoteError(f"{self._what()}, damaged or cut short") from None
        if self.expected not in (None, size := into.stat().st_size):
            raise RemoteError(
                f"{self.host} offers {size} bytes where {self.expected} were published"
            )
        return True

    def _is_published(self, arrived: Path) -> bool:
        if arrived.stat().st_size == self.expected:
            return True
        with arrived.open("rb") as file:
            begin = file.read(CHUNK)
        magic = _magic(self.file)
        if not self._is_gzip():
            return bool(magic) and begin.startswith(magic)
        if not begin.startswith(GZIP):
            return True
        return magic == GZIP and not _inside(begin).startswith(GZIP)

    def _is_gzip(self) -> bool:
        return self.name in ("gzip", "x-gzip")

    def _what(self) -> str:
        return (
            f"{self.host} sends {self.file} in the coding {self.name}, though it was "
            "asked for none"
        )


def _magic(name: str) -> bytes:
    """Return the first bytes of a file called *name*, b"" where it may be any."""
    lower = name.lower()
    return next((magic for ends, magic in MAGIC.items() if lower.endswith(ends)), b"")


def _inside(begin: bytes) -> bytes:
    """Return the first bytes of what was packed into a gzip that begins so."""
    try:
        return zlib.decompressobj(31).decompress(begin, len(GZIP))
    except zlib.error:
        return b""
