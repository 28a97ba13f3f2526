"""Small files are seen whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dewy import files
from dewy.files import (
    SPARE_SIZE,
    Spare,
    sync_directory,
    write_atomically,
    write_with_spare,
)


def test_atomic_write_replaces_content(tmp_path: Path) -> None:
    """And leaves nothing beside it."""
    path = tmp_path / "state"
    write_atomically(path, b"first, and longer")
    write_atomically(path, b"second")

    assert b"second" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_draft_of_a_killed_writer_is_written_over(tmp_path: Path) -> None:
    """Drafts do not gather with every kill -9."""
    path = tmp_path / "state"
    (tmp_path / ".state.tmp").write_bytes(b"half of something longer")
    write_atomically(path, b"whole")

    assert b"whole" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_file_has_its_mode(tmp_path: Path, mode: int) -> None:
    """Private unless said otherwise."""
    write_atomically(tmp_path / "file", b"", mode=mode)

    assert mode == (tmp_path / "file").stat().st_mode & 0o777


def test_failure_leaves_the_old_content_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is noticed at fsync, before anything is replaced."""
    path = tmp_path / "state"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")

    assert b"old" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_file_is_on_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync, rename, fsync of the directory: in no other order is it durable."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        steps.append("sync directory" if name == str(tmp_path) else "sync file")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(files.os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    write_atomically(tmp_path / "state", b"x")

    assert ["sync file", "rename", "sync directory"] == steps


def test_only_directories_are_synced_as_such(tmp_path: Path) -> None:
    """A slip of the path is told."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")


@pytest.fixture
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spare:
    """A spare beside a file `state` whose disk takes no further file."""
    spare = Spare(tmp_path / "spare")
    write_with_spare(tmp_path / "state", b"old", spare)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_atomically", full)
    return spare


def test_spare_is_written_blocks(spare: Spare) -> None:
    """A hole would have no room when it is needed."""
    assert SPARE_SIZE == spare.path.stat().st_size
    assert SPARE_SIZE <= 512 * spare.path.stat().st_blocks
    assert 0o600 == spare.path.stat().st_mode & 0o777


def test_spare_takes_place_of_file_on_full_disk(spare: Spare, tmp_path: Path) -> None:
    for content in (b"new", b"newer, and longer", b""):
        write_with_spare(tmp_path / "state", content, spare)

        assert content == (tmp_path / "state").read_bytes()
        assert SPARE_SIZE == spare.path.stat().st_size


def test_spare_that_is_cut_short_leaves_old_content(
    spare: Spare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash half-way costs the new content, and the next write has a spare."""

    def crash(descriptor: int) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", crash)
        with pytest.raises(SystemExit):
            write_with_spare(tmp_path / "state", b"new", spare)
    assert b"old" == (tmp_path / "state").read_bytes()

    write_with_spare(tmp_path / "state", b"newer", spare)
    assert b"newer" == (tmp_path / "state").read_bytes()


def test_other_failures_leave_the_spare_alone(
    tmp_path: Path, spare: Spare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files, "write_atomically", refuse)
    with pytest.raises(OSError, match="Input/output"):
        write_with_spare(tmp_path / "state", b"new", spare)

    assert b"old" == (tmp_path / "state").read_bytes()
    assert SPARE_SIZE == spare.path.stat().st_size
