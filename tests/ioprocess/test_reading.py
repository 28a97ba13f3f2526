"""What is told of directories and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.ioprocess import reading
from dewy.ioprocess.reading import PIECE
from tests.standins.changed_files import CHANGES


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "app.tgz"
    path.write_bytes(bytes(2 * PIECE + 1))
    return path


def test_names_are_sorted_and_those_with_a_dot_left_out(tmp_path: Path) -> None:
    for name in ("b", "a", ".c"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.txt").touch()

    assert ["a", "b"] == reading.directories(tmp_path)
    assert ["a.txt", "b.txt"] == reading.files(tmp_path)


def test_pieces_make_up_the_file(source: Path) -> None:
    found = list(reading.pieces(source, reading.look(source)))

    assert [PIECE, PIECE, 1] == [len(piece) for piece in found]


@pytest.mark.parametrize("change", CHANGES)
def test_file_that_changes_between_pieces_is_refused(
    source: Path, change: Callable[[Path], None]
) -> None:
    """A mixture of two publications is never deployed."""
    pieces = reading.pieces(source, reading.look(source))
    next(pieces)
    change(source)

    with pytest.raises(RemoteError, match="changed"):
        list(pieces)


def test_file_larger_than_the_limit_is_refused(source: Path) -> None:
    assert 2 * PIECE + 1 == len(reading.content(source, 2 * PIECE + 1))

    with pytest.raises(RemoteError, match="larger than 10 bytes"):
        reading.content(source, 10)
