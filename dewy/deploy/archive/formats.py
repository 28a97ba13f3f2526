"""
The formats of artifacts: recognition by file name, decompression in bounded pieces.

Each decompressor turns a compressed file into pieces. All of them read to the last
byte, so that a file cut short, or with something after its end, is noticed: they raise
what the library raises, EOFError among it.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterator
from enum import Enum
from typing import BinaryIO, Protocol

from ...errors import ArchiveError
from .limits import MIB, PIECE, ByteSource


class Format(Enum):
    """The format of an artifact; a bare one is the program itself."""

    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    TAR_XZ = "tar.xz"
    TAR_ZST = "tar.zst"
    ZIP = "zip"
    BARE = "bare"


ENDINGS = {
    ".tar": Format.TAR,
    ".tar.gz": Format.TAR_GZ,
    ".tgz": Format.TAR_GZ,
    ".tar.bz2": Format.TAR_BZ2,
    ".tbz2": Format.TAR_BZ2,
    ".tar.xz": Format.TAR_XZ,
    ".txz": Format.TAR_XZ,
    ".tar.zst": Format.TAR_ZST,
    ".tzst": Format.TAR_ZST,
    ".zip": Format.ZIP,
}

# Without these, a packed file would be put in place as if it were a program.
UNSUPPORTED = (
    *(".7z", ".ar", ".br", ".bz2", ".cab", ".cpio", ".gz", ".lz", ".lz4", ".lzma"),
    *(".lzo", ".rar", ".sz", ".tbz", ".tlz", ".xz", ".z", ".zst"),
)


def format_of(name: str) -> Format:
    """
    Return the format of the artifact called *name*, whatever its case.

    Raises:
        ArchiveError: *name* is of a format that dewy does not read.
    """
    lower = name.lower()
    for ending, chosen in ENDINGS.items():
        if lower.endswith(ending):
            return chosen
    if lower.endswith(UNSUPPORTED):
        raise ArchiveError(
            f"{name} is packed in a format that dewy does not read; use one of "
            + ", ".join(ENDINGS)
        )
    return Format.BARE


# The memory that `xz -9` and `zstd --long` need; only oddities ask for more.
MEMORY = 128 * MIB

HUNGRY = (
    f"needs more than {MEMORY // MIB} MiB of memory to unpack; pack it with xz -9 or "
    "zstd --long=27 at most"
)

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"


class Decompressor(Protocol):
    """The interface that the decompressors of bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _plain(file: ByteSource) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def _gzip(file: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as stream:
        yield from _plain(stream)


def _bzip2(file: BinaryIO) -> Iterator[bytes]:
    return _concatenated(file, bz2.BZ2Decompressor)


def _xz(file: BinaryIO) -> Iterator[bytes]:
    try:
        yield from _concatenated(
            file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
        )
    except lzma.LZMAError as exc:
        if "Memory usage limit" not in str(exc):
            raise
        raise ArchiveError(HUNGRY) from None


def _concatenated(file: BinaryIO, new: Callable[[], Decompressor]) -> Iterator[bytes]:
    # The classes of the standard library do this too, but pass over garbage at
    # the end, and set no limit to the memory that a header can ask for.
    data = file.read(PIECE)
    while data:
        stream = new()
        while not stream.eof:
            if stream.needs_input and not data and not (data := file.read(PIECE)):
                raise EOFError("the compressed data ends early")
            piece, data = stream.decompress(data, PIECE), b""
            yield piece
        data = _after_padding(file, stream.unused_data)


def _after_padding(file: BinaryIO, data: bytes) -> bytes:
    """Return the first bytes after the zeros that may stand behind a stream."""
    data = data.lstrip(b"\0")
    while not data and (more := file.read(PIECE)):
        data = more.lstrip(b"\0")
    return data


def _zstd(file: BinaryIO) -> Iterator[bytes]:
    # The library's reader takes a file that ends early for complete, and its
    # decompression object knows no limit for one call. Fed block by block it
    # gives back at most a block (128 KiB) each time and tells of the end.
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=MEMORY)
    try:
        while header := _zstd_header(file):
            frame = context.decompressobj()
            yield frame.decompress(header)
            for block in _zstd_blocks(file, checksum=bool(header[4] & 0x04)):
                yield frame.decompress(block)
            if not frame.eof:
                raise EOFError("a zstd frame ends early")
    except zstandard.ZstdError as exc:
        if "too much memory" in str(exc):
            raise ArchiveError(HUNGRY) from None
        raise ArchiveError(f"broken zstd data: {exc}") from exc


def _zstd_header(file: BinaryIO) -> bytes:
    """
    Return the next frame's header (RFC 8878, 3.1.1.1); empty at the end of the file.
    """
    while magic := file.read(4):
        if magic != ZSTD_MAGIC:
            _skip_zstd_frame(file, magic)
            continue
        descriptor = _exactly(file, 1)
        flags = descriptor[0]
        single = flags >> 5 & 1
        size = 1 - single
        size += (0, 1, 2, 4)[flags & 3]
        size += (single, 2, 4, 8)[flags >> 6]
        return magic + descriptor + _exactly(file, size)
    return b""


def _skip_zstd_frame(file: BinaryIO, magic: bytes) -> None:
    if magic[1:] != ZSTD_SKIPPABLE or magic[0] >> 4 != 5:
        raise ArchiveError("broken zstd data: no frame where one should begin")
    left = int.from_bytes(_exactly(file, 4), "little")
    while left:
        left -= len(_exactly(file, min(left, PIECE)))


def _zstd_blocks(file: BinaryIO, *, checksum: bool) -> Iterator[bytes]:
    """Yield the blocks of a frame with their headers, then its checksum (3.1.1.2)."""
    last = 0
    while not last:
        header = _exactly(file, 3)
        bits = int.from_bytes(header, "little")
        last, kind, size = bits & 1, bits >> 1 & 3, bits >> 3
        yield header + _exactly(file, 1 if kind == 1 else size)
    if checksum:
        yield _exactly(file, 4)


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("the compressed data ends early")
    return data


STREAMS: dict[Format, Callable[[BinaryIO], Iterator[bytes]]] = {
    Format.TAR: _plain,
    Format.TAR_GZ: _gzip,
    Format.TAR_BZ2: _bzip2,
    Format.TAR_XZ: _xz,
    Format.TAR_ZST: _zstd,
}
