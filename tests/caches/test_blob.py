"""Files in pieces are put together as they were, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dewy.caches.chunks import BlobManifest, Reading, Writing, is_whole

CONTENT = os.urandom(1000)


def cut(path: Path) -> tuple[BlobManifest, dict[str, bytes]]:
    path.write_bytes(CONTENT)
    reading, chunks = Reading(path, 300), {}
    while some := reading.next(2):
        chunks |= dict(some)
    reading.close()
    return reading.manifest(), chunks


def test_pieces_make_the_file_again(tmp_path: Path) -> None:
    manifest, chunks = cut(tmp_path / "source")
    writing = Writing(tmp_path / "into")

    assert writing.add(manifest.chunks, [chunks[name] for name in manifest.chunks])
    assert writing.complete(manifest)
    writing.close(keep=True)
    assert CONTENT == (tmp_path / "into").read_bytes()
    assert is_whole(tmp_path / "into", manifest)


@pytest.mark.parametrize("chunk", [None, b"", b"another"])
def test_piece_that_is_another_or_missing_is_seen(
    tmp_path: Path, chunk: bytes | None
) -> None:
    manifest, _ = cut(tmp_path / "source")
    writing = Writing(tmp_path / "into")

    assert not writing.add(manifest.chunks[:1], [chunk])
    writing.close(keep=False)
    assert not (tmp_path / "into").exists()


def test_file_that_lacks_its_end_is_not_complete(tmp_path: Path) -> None:
    manifest, chunks = cut(tmp_path / "source")
    writing = Writing(tmp_path / "into")
    names = manifest.chunks[:-1]

    assert writing.add(names, [chunks[name] for name in names])
    assert not writing.complete(manifest)
    writing.close(keep=False)


def test_manifest_survives_its_text(tmp_path: Path) -> None:
    manifest, _ = cut(tmp_path / "source")

    assert manifest == BlobManifest.parse(manifest.text())


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b'{"sha256": "a", "size": "b", "chunks": []}',
        b'{"sha256": "a", "size": 1, "chunks": ["../x"]}',
        b"[" * 100_000,
    ],
)
def test_invalid_manifest_parses_as_none(text: bytes | None) -> None:
    assert BlobManifest.parse(text) is None
