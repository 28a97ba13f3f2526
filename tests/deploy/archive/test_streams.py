from __future__ import annotations

import io
import lzma
import random
import zlib
from collections.abc import Iterator

import pytest
import zstandard

from dewy.deploy.archive.extract import BROKEN
from dewy.deploy.archive.formats import STREAMS, Format
from dewy.deploy.archive.limits import MIB, PIECE
from dewy.errors import ArchiveError
from tests.standins.archives import COMPRESSORS, zstd

COMPRESSED = [ending for ending in COMPRESSORS if ending != ".tar"]
WRONG = (*BROKEN, OSError, ArchiveError)

NOISE = random.Random(2).randbytes(300_000)
TEXT = b"so it goes\n" * 60_000


def pieces(ending: str, data: bytes) -> Iterator[bytes]:
    return STREAMS[Format(ending[1:])](io.BytesIO(data))


@pytest.mark.parametrize("ending", COMPRESSORS)
@pytest.mark.parametrize("content", [b"", b"x", TEXT, NOISE], ids=len)
def test_content_comes_back(ending: str, content: bytes) -> None:
    data = COMPRESSORS[ending](content)

    assert content == b"".join(pieces(ending, data))


@pytest.mark.parametrize("ending", COMPRESSED)
def test_concatenated_streams_are_read_as_single_stream(ending: str) -> None:
    """Parallel compressors write several streams after each other."""
    data = COMPRESSORS[ending](TEXT) + COMPRESSORS[ending](NOISE)

    assert TEXT + NOISE == b"".join(pieces(ending, data))


@pytest.mark.parametrize("ending", COMPRESSED)
@pytest.mark.parametrize("content", [TEXT, NOISE], ids=len)
def test_cut_stream_is_noticed(ending: str, content: bytes) -> None:
    """Also where only the checksum at its very end is missing."""
    data = COMPRESSORS[ending](content)

    for kept in (len(data) // 2, len(data) - 5, len(data) - 1):
        with pytest.raises(WRONG):
            list(pieces(ending, data[:kept]))


@pytest.mark.parametrize("ending", COMPRESSED)
def test_damage_is_noticed(ending: str) -> None:
    data = bytearray(COMPRESSORS[ending](NOISE))
    data[len(data) // 2] ^= 1

    with pytest.raises(WRONG):
        list(pieces(ending, bytes(data)))


@pytest.mark.parametrize("ending", COMPRESSED)
def test_garbage_after_the_end_is_noticed(ending: str) -> None:
    with pytest.raises(WRONG):
        list(pieces(ending, COMPRESSORS[ending](TEXT) + b"garbage, and more of it"))


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.bz2", ".tar.xz"])
def test_padding_after_the_end_is_accepted(ending: str) -> None:
    data = COMPRESSORS[ending](TEXT) + bytes(2 * PIECE)

    assert TEXT == b"".join(pieces(ending, data))


@pytest.mark.parametrize("ending", COMPRESSORS)
def test_pieces_are_bounded(ending: str) -> None:
    """Sixteen MiB of zeros fit into a few bytes; they come out bit by bit."""
    data = COMPRESSORS[ending](bytes(16 * MIB))
    sizes = [len(piece) for piece in pieces(ending, data)]

    assert 16 * MIB == sum(sizes)
    assert max(sizes) <= PIECE


def test_zstd_frame_may_say_its_length() -> None:
    for content in (b"x" * 100, TEXT, NOISE):
        data = zstandard.ZstdCompressor(level=19).compress(content)

        assert content == b"".join(pieces(".tar.zst", data))


def test_zstd_skippable_frames_are_skipped() -> None:
    note = b"\x5a\x2a\x4d\x18" + (1000).to_bytes(4, "little") + bytes(1000)

    assert TEXT == b"".join(pieces(".tar.zst", note + zstd(TEXT) + note))
    with pytest.raises(EOFError):
        list(pieces(".tar.zst", zstd(TEXT) + note[:500]))


def test_zstd_window_is_limited() -> None:
    """A header cannot make us take gigabytes of memory."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(b"small") + compressor.flush()

    with pytest.raises(ArchiveError, match="zstd"):
        list(pieces(".tar.zst", data))


def test_xz_dictionary_is_limited() -> None:
    data = bytearray(lzma.compress(b"small"))
    # Block header (xz-file-format 3.1): size, flags, filter LZMA2, 1, dictionary
    # size, padding, CRC. 34 stands for 256 MiB, which costs an attacker nothing.
    assert bytes([2, 0, 0x21, 1]) == data[12:16]
    data[16] = 34
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")

    with pytest.raises(ArchiveError, match=r"more than 128 MiB of memory .* xz -9"):
        list(pieces(".tar.xz", bytes(data)))
