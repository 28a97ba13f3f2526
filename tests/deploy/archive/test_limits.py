from __future__ import annotations

import io
from pathlib import Path
from threading import Event

import pytest

from dewy.deploy.archive.limits import PIECE, ArchiveLimits, Budget
from dewy.errors import ArchiveError, DeploymentError


def test_entries_are_counted() -> None:
    budget = Budget(ArchiveLimits(entries=2), 1)
    budget.entry()
    budget.entry()

    with pytest.raises(ArchiveError, match="more than 2 entries"):
        budget.entry()


def test_bytes_are_counted_over_all_files() -> None:
    budget = Budget(ArchiveLimits(total=100), 1)
    budget.data(60)
    budget.data(40)

    with pytest.raises(ArchiveError, match="more than 100 bytes"):
        budget.data(1)


def test_ratio_counts_from_a_size_on() -> None:
    budget = Budget(ArchiveLimits(ratio=3, ratio_from=1000), 10)
    budget.data(1000)

    with pytest.raises(ArchiveError, match="more than 3 times"):
        budget.data(1)


def test_extraction_beyond_ratio_of_archive_size_is_refused() -> None:
    budget = Budget(ArchiveLimits(ratio=3, ratio_from=1000), 500)
    budget.data(1500)

    with pytest.raises(ArchiveError, match="more than 3 times"):
        budget.data(1)


def test_holes_are_no_part_of_the_ratio() -> None:
    """A database's file that was made in advance is mostly empty."""
    budget = Budget(ArchiveLimits(ratio=3, ratio_from=1000), 10)
    budget.data(1_000_000, hole=True)
    budget.data(1000)

    with pytest.raises(ArchiveError, match="--archive-max-ratio"):
        budget.data(1)


def test_ratio_of_zero_is_none() -> None:
    Budget(ArchiveLimits(ratio=0, ratio_from=0), 1).data(1_000_000)


def test_holes_are_copied_as_holes(tmp_path: Path) -> None:
    content = b"x" + bytes(3 * PIECE) + b"y" + bytes(5 * PIECE)
    with open(tmp_path / "file", "wb") as file:
        Budget(ArchiveLimits(), 1).copy(io.BytesIO(content), file, sparse=True)

    assert content == (tmp_path / "file").read_bytes()
    assert 4 * PIECE > (tmp_path / "file").stat().st_blocks * 512


def test_copy_stops_where_the_limit_is() -> None:
    sink = io.BytesIO()

    with pytest.raises(ArchiveError):
        Budget(ArchiveLimits(total=PIECE), 1).copy(io.BytesIO(bytes(9 * PIECE)), sink)

    assert PIECE == sink.tell()


def test_stop_ends_the_work() -> None:
    stop = Event()
    budget = Budget(ArchiveLimits(), 1, stop)
    budget.entry()
    stop.set()

    with pytest.raises(DeploymentError, match="interrupted"):
        budget.data(1)
