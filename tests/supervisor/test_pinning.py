from __future__ import annotations

from pathlib import Path

import pytest

from dewy.supervisor.environment import pinned


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "releases" / "one").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/one")
    return tmp_path


def test_paths_through_current_lead_to_the_release(root: Path) -> None:
    program = ["current/app", "-c", f"{root}/current/app.yml", "current", "a/current/b"]

    assert [
        "releases/one/app",
        "-c",
        f"{root}/releases/one/app.yml",
        "current",
        "a/current/b",
    ] == pinned(program, root)


def test_release_outside_the_root_is_named_absolutely(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (root / "current").unlink()
    (root / "current").symlink_to(elsewhere)

    assert [f"{elsewhere}/app"] == pinned(["current/app"], root)


def test_path_is_unchanged_without_current_link(tmp_path: Path) -> None:
    assert ["current/app"] == pinned(["current/app"], tmp_path)
