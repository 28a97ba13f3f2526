"""File systems that are full, of blocks or of inodes; mounted only where asked for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.needs import required

KINDS = {"blocks": "size=2m", "inodes": "size=8m,nr_inodes=64"}


@contextmanager
def mounted(place: Path, kind: str) -> Iterator[Path]:
    """Mount a small file system at *place*, which has few of *kind*."""
    if not required("all") or os.geteuid() != 0:
        pytest.skip("mounts a file system: as root with DEWY_TEST_REQUIRE=all")
    place.mkdir()
    options = ["-o", KINDS[kind]]
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path, kind: str) -> None:
    """Take what is left of *kind*; said again, take what was freed since."""
    with suppress(OSError):
        for _ in range(64 * 1024):
            _take(place, kind)
    found = os.statvfs(place)
    assert 0 == (found.f_bavail if kind == "blocks" else found.f_favail)


def make_room(place: Path) -> None:
    """Remove what `fill` made."""
    for filler in place.glob("filler*"):
        filler.unlink()


def _take(place: Path, kind: str) -> None:
    if kind == "inodes":
        (place / f"filler-{os.urandom(8).hex()}").touch(exist_ok=False)
        return
    with (place / "filler").open("ab", buffering=0) as f:
        f.write(bytes(4096))
