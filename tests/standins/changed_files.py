"""Changes of a file of more than two pieces while it is read."""

from __future__ import annotations

import os
from pathlib import Path

from dewy.ioprocess.reading import PIECE


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, PIECE)


def touch(path: Path) -> None:
    os.utime(path, (1_600_000_000, 1_600_000_000))


def put_another_in_its_place(path: Path) -> None:
    (path.parent / "new").write_bytes(bytes(2 * PIECE + 1))
    os.utime(path.parent / "new", ns=(0, path.stat().st_mtime_ns))
    (path.parent / "new").rename(path)


CHANGES = [grow, truncate, touch, put_another_in_its_place]
