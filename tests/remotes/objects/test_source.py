"""An object as the source of a transfer."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes.objects import Stat
from dewy.remotes.objects.source import ObjectSource
from dewy.remotes.transfer import transfer

MIB = 1 << 20
CONTENT = os.urandom(3 * MIB)


class Pieces:
    """Gives at most so many bytes of the object at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[tuple[int, int]] = []

    async def __call__(self, stat: Stat, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return CONTENT[offset : offset + min(length, self.most)]


def source(pieces: Pieces, of: bytes = CONTENT) -> ObjectSource:
    sums = {"sha256": hashlib.sha256(of).digest()}
    stat = Stat("key", len(CONTENT), "1", datetime.now(UTC), sums)
    return ObjectSource("bucket", stat, pieces)


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_slow_pieces_are_kept_as_far_as_they_come(tmp_path: Path) -> None:
    """What flows is not thrown away for being slow."""
    pieces = Pieces(700_000)
    await transfer(source(pieces), tmp_path / "into")

    assert CONTENT == content(tmp_path / "into")
    offsets = [offset for offset, _ in pieces.asked]
    assert [0, 700_000, 1_400_000, 2_100_000, 2_800_000] == offsets


async def test_object_with_another_digest_is_refused(tmp_path: Path) -> None:
    other = source(Pieces(8 * MIB), CONTENT[::-1])

    with pytest.raises(RemoteError, match="key arrived with another sha256"):
        await transfer(other, tmp_path / "into")
    assert [] == os.listdir(tmp_path)
