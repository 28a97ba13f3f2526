"""Unpacking zip archives."""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import BinaryIO, cast

from ...errors import ArchiveError
from .formats import STREAMS, Format
from .limits import MIB, Budget, ByteSource
from .tree import Tree, quoted

DIRECTORY = 64 * MIB
ENTRY_MAGIC = b"PK\x01\x02"
ENCRYPTED = 0x1
UTF8 = 0x800
UNICODE_PATH = 0x7075
READ_ONLY = 0x1
# Systems whose names are bytes, and whose files have modes: Unix and macOS.
UNIX = frozenset({3, 19})
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
TARGET = 4097  # A byte more than a link can hold.
DRIVE = re.compile(r"[A-Za-z]:/")


def unpack_zip(file: BinaryIO, tree: Tree, budget: Budget) -> bool:
    """
    Unpack the zip archive *file*; return whether it holds permissions.

    Raises:
        ArchiveError: the archive holds what must not be unpacked, or cannot be.
        Exception: zipfile failed on what it does not understand.
    """
    with zipfile.ZipFile(_Guarded(file, budget.limits.entries)) as archive:
        for info in archive.infolist():
            budget.entry()
            _place(archive, info, tree, budget)
        return any(info.external_attr >> 16 for info in archive.infolist())


def _place(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, tree: Tree, budget: Budget
) -> None:
    whole = _name(info)
    if (name := tree.stripped(whole)) is None:
        return
    mode = info.external_attr >> 16
    if whole.endswith("/") or stat.S_ISDIR(mode):
        tree.directory(name, mode or 0o755)
        return
    _check_readable(info)
    if stat.S_ISLNK(mode):
        with _content(archive, info) as content:
            tree.symlink(name, os.fsdecode(content.read(TARGET)))
    elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
        plain = 0o444 if info.external_attr & READ_ONLY else 0o644
        with _content(archive, info) as content, tree.file(name, mode or plain) as file:
            budget.copy(content, file)
    else:
        raise ArchiveError(f"entry {quoted(name)} is a device, pipe or socket")


def _name(info: zipfile.ZipInfo) -> str:
    """
    Return the name with slashes, as the format has it, and without a drive.

    Unix's tools write a name's bytes as they are, backslashes among them.
    """
    utf8 = bool(info.flag_bits & UTF8)
    raw = info.orig_filename.encode("utf-8" if utf8 else "cp437").split(b"\0", 1)[0]
    name = info.filename if utf8 else _unicode_path(info.extra, raw)
    if info.create_system in UNIX:
        return name or os.fsdecode(raw)
    name = (name or info.filename).replace("\\", "/")
    return name[2:] if DRIVE.match(name) else name


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """
    Return the name in Info-ZIP's extra field for it, which goes with the name *raw*.

    Return "" if there is none: appnote.txt of PKWARE, 4.6.9.
    """
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(field) > 5:
            version, crc = struct.unpack_from("<BL", field)
            if version == 1 and crc == zlib.crc32(raw):
                return field[5:].decode(errors="replace")
    return ""


def _check_readable(info: zipfile.ZipInfo) -> None:
    if info.flag_bits & ENCRYPTED:
        raise ArchiveError(f"entry {quoted(info.filename)} is encrypted")
    if info.compress_type not in METHODS:
        raise ArchiveError(
            f"entry {quoted(info.filename)} is compressed by method "
            f"{info.compress_type}; dewy reads stored, deflated and bzip2 ones"
        )


@contextmanager
def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[ByteSource]:
    if info.compress_type != zipfile.ZIP_BZIP2:
        with archive.open(info) as content:
            yield content
        return
    # zipfile would decompress without a limit to the memory that takes.
    packed = copy(info)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
    del packed.CRC
    with archive.open(packed) as file:
        yield _Pieces(STREAMS[Format.TAR_BZ2](cast("BinaryIO", file)), info.CRC)


class _Pieces:
    """A source of *pieces*, which are as long as they are, with the checksum *crc*."""

    def __init__(self, pieces: Iterator[bytes], crc: int) -> None:
        self._pieces = pieces
        self._expected = crc
        self._crc = 0

    def read(self, size: int, /) -> bytes:
        piece = next(filter(None, self._pieces), b"")
        self._crc = zlib.crc32(piece, self._crc)
        if not piece and self._crc != self._expected:
            raise zipfile.BadZipFile("Bad CRC-32")
        return piece


class _Guarded:
    """
    A file whose directory of entries cannot fill the memory.

    zipfile reads the whole directory at once and makes an object of each entry
    in it before anyone can count them.
    """

    def __init__(self, file: BinaryIO, entries: int) -> None:
        self._file = file
        self._entries = entries
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > DIRECTORY:
            raise ArchiveError(f"has a directory of more than {DIRECTORY} bytes")
        data = self._file.read(size)
        if data.count(ENTRY_MAGIC) > self._entries:
            raise ArchiveError(f"holds more than {self._entries} entries")
        return data
