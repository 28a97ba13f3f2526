from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dewy.deploy.current import Current
from dewy.errors import DeploymentError
from tests.needs import required


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def one(root: Path) -> Path:
    path = root / "releases/20310203T040506Z"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def two(root: Path) -> Path:
    path = root / "releases/20310203T040507Z"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def current(root: Path) -> Current:
    return Current(root)


def test_current_points_at_the_release(
    current: Current, root: Path, caplog: pytest.LogCaptureFixture, one: Path, two: Path
) -> None:
    caplog.set_level(logging.INFO)
    current.switch(one)
    current.switch(two)

    link = root / "current"
    assert str(two) == os.readlink(link)
    assert two.name == current.target()
    assert ["Create symlink"] * 2 == [record.message for record in caplog.records]
    assert not (root / "current.tmp").is_symlink()


def test_current_is_never_missing(
    current: Current, root: Path, monkeypatch: pytest.MonkeyPatch, one: Path, two: Path
) -> None:
    current.switch(one)
    present = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        present.append(os.readlink(root / "current"))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    current.switch(two)

    assert [str(one)] == present


def test_left_over_link_is_no_obstacle(current: Current, root: Path, one: Path) -> None:
    (root / "current.tmp").symlink_to("nowhere")
    current.switch(one)

    assert one.name == current.target()


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_current_that_is_no_link_is_left_alone(
    current: Current, root: Path, kind: str, one: Path
) -> None:
    link = root / "current"
    link.mkdir() if kind == "directory" else link.touch()

    with pytest.raises(DeploymentError, match="current is not a link; move it away"):
        current.switch(one)
    assert not link.is_symlink()


@pytest.fixture
def few_inodes(tmp_path: Path) -> Iterator[Path]:
    """A root on a file system with few inodes; mounted only where asked for."""
    if not required("all") or os.geteuid() != 0:
        pytest.skip("mounts a file system: as root with DEWY_TEST_REQUIRE=all")
    root = tmp_path / "few"
    root.mkdir()
    options = "size=1m,nr_inodes=32"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", root], check=True)
    yield root
    subprocess.run(["umount", str(root)], check=True)


def test_current_moves_where_no_inode_is_left(few_inodes: Path) -> None:
    """A rollback was refused for want of a link."""
    one, two = (few_inodes / "releases" / name for name in ("one", "two"))
    for directory in (few_inodes / ".dewy", one, two):
        directory.mkdir(parents=True)
    current = Current(few_inodes)
    current.switch(two)
    with suppress(OSError):
        for n in range(64):
            (few_inodes / f"filler-{n}").touch()
    assert 0 == os.statvfs(few_inodes).f_favail

    current.begin(one, two)
    current.switch(one)
    assert "one" == current.target()
    current.end(one)

    (few_inodes / "filler-0").unlink()
    current.switch(two)
    assert "two" == current.target()


def test_missing_release_is_not_pointed_at(current: Current, one: Path) -> None:
    with pytest.raises(DeploymentError, match="gone"):
        current.switch(one.with_name("missing"))


def test_withdrawn_link_is_gone(current: Current, root: Path, one: Path) -> None:
    current.switch(one)
    current.withdraw()
    current.withdraw()

    assert not (root / "current").is_symlink()
    assert one.is_dir()


def test_withdrawing_takes_links_only(current: Current, root: Path) -> None:
    (root / "current").mkdir()
    current.withdraw()

    assert (root / "current").is_dir()


def test_no_link_has_no_target(current: Current) -> None:
    assert current.target() is None


@pytest.mark.parametrize("target", ["/", "releases/missing", "elsewhere/x", "releases"])
def test_foreign_link_has_no_target(current: Current, root: Path, target: str) -> None:
    (root / "elsewhere/x").mkdir(parents=True)
    (root / "current").symlink_to(target)

    assert current.target() is None


def test_target_is_known_by_any_path(
    current: Current, root: Path, tmp_path: Path, one: Path
) -> None:
    """By a relative path, and by one through another name of the root."""
    (tmp_path / "alias").symlink_to(root)
    for target in (f"releases/{one.name}", f"{tmp_path}/alias/releases/{one.name}"):
        (root / "current").unlink(missing_ok=True)
        (root / "current").symlink_to(target)

        assert one.name == current.target()


def test_draft_of_a_killed_dewy_is_cleared(current: Current, root: Path) -> None:
    draft = root / "current.tmp"
    draft.symlink_to("nowhere")
    current.clear_draft()
    current.clear_draft()

    assert not draft.is_symlink()
