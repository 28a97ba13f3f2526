"""How the files of a cache come into being, and are counted."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from dewy.caches import CacheEntry
from dewy.caches.disk import (
    creating,
    install,
    link_or_copy,
    make_directories,
    names,
    survey,
)

SCOPE = "0123456789abcdef"


def broken(draft: Path) -> None:
    draft.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A write that fails leaves the old file, and nothing else."""
    path = tmp_path / "value"
    path.write_bytes(b"old")

    with pytest.raises(OSError, match="No space"):
        install(path, broken)

    assert b"old" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_installing_file_over_itself_leaves_single_file(tmp_path: Path) -> None:
    """rename(2) does nothing between two names of one file."""
    path = tmp_path / "value"
    path.write_bytes(b"same")

    install(path, lambda draft: link_or_copy(path, draft))

    assert [path] == list(tmp_path.iterdir())


def test_directories_are_for_this_user_alone(tmp_path: Path) -> None:
    """All that were missing, not just the last."""
    make_directories(tmp_path / "a" / "b")

    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b")}
    assert {0o700} == modes


def test_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    make_directories(tmp_path)

    assert 0o755 == stat.S_IMODE(tmp_path.stat().st_mode)


def test_created_file_that_fails_is_deleted(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), creating(tmp_path / "new") as file:
        file.write(b"half")
        raise ZeroDivisionError

    assert [] == list(tmp_path.iterdir())


def test_file_is_linked_where_that_is_possible(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"bytes")

    link_or_copy(tmp_path / "source", tmp_path / "target")

    assert (tmp_path / "source").samefile(tmp_path / "target")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_file_is_copied_if_hard_link_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Other filesystems, protected links, one link too many."""

    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "source").write_bytes(b"bytes")

    link_or_copy(tmp_path / "source", tmp_path / "target")

    assert b"bytes" == (tmp_path / "target").read_bytes()
    assert not (tmp_path / "source").samefile(tmp_path / "target")


def test_survey_counts_bytes_not_directories(tmp_path: Path) -> None:
    """The limit is on the files, not on the size of a directory's inode."""
    path = tmp_path / SCOPE / "below" / "value"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(70_000))
    os.utime(path, (1000, 2000))

    assert ([CacheEntry(f"{SCOPE}/below/value", 70_000, 2000.0)], 0) == survey(tmp_path)


def test_survey_of_nothing_creates_nothing(tmp_path: Path) -> None:
    assert ([], 0) == survey(tmp_path / "missing")
    assert [] == list(tmp_path.iterdir())


def test_survey_ignores_files_outside_scopes(tmp_path: Path) -> None:
    """What the original left, or anybody else put there, is never evicted."""
    (tmp_path / "current").write_bytes(b"v1.0.0--app.tar.gz")
    (tmp_path / "v1.0.0--app.tar.gz").write_bytes(b"of the original")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"of somebody else")

    assert ([], 0) == survey(tmp_path)


def test_draft_of_a_killed_writer_is_deleted_in_time(tmp_path: Path) -> None:
    """A fresh one may be somebody's who is still writing; it counts meanwhile."""
    (tmp_path / SCOPE).mkdir()
    for name, age in (("old", 7200), ("fresh", 0), ("ahead", -7200)):
        draft = tmp_path / SCOPE / f".{name}.tmp"
        draft.write_bytes(b"half")
        os.utime(draft, (time.time() - age,) * 2)

    assert ([], 4) == survey(tmp_path)
    assert [".fresh.tmp"] == os.listdir(tmp_path / SCOPE)


def test_hidden_files_are_no_names(tmp_path: Path) -> None:
    for name in ("b/c", "a", ".draft", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    assert ["a", "b/c"] == sorted(names(tmp_path))
