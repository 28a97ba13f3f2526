"""The root, and the program in it."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dewy.checks.finding import Level
from dewy.checks.host import program_findings, readiness_findings, root_findings
from dewy.config import Settings


def settings(root: Path, *program: str) -> Settings:
    return Settings(
        command="server", root=root, cache_dir=root / ".dewy/cache", program=program
    )


def test_file_in_the_place_of_a_directory_is_found(tmp_path: Path) -> None:
    """Nothing could be made there by any user."""
    (tmp_path / "releases").write_text("")
    found = root_findings(settings(tmp_path))
    failures = [each for each in found if each.level is Level.FAILURE]

    assert 1 == len(failures)
    assert f"{tmp_path}/releases cannot be written" in failures[0].text
    assert failures[0].advice


def test_fresh_root_is_well(tmp_path: Path) -> None:
    """What is missing will be made."""
    levels = {(f.subject, f.level) for f in root_findings(settings(tmp_path))}

    assert ("root", Level.OK) in levels


def test_full_disk_is_found_by_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions tell nothing of it."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    (root,) = (
        each for each in root_findings(settings(tmp_path)) if each.subject == "root"
    )

    assert Level.FAILURE is root.level
    assert f"{tmp_path} cannot be written (No space left on device)" == root.text
    assert "free space" == root.advice
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "deployed", "level", "text"),
    [
        ("current/app", False, Level.OK, "comes with the first release"),
        ("current/app", True, Level.FAILURE, "does not exist"),
        ("current/data", True, Level.FAILURE, "is not executable"),
        ("current/run", True, Level.OK, "is executable"),
        ("./nowhere", False, Level.FAILURE, "does not exist"),
        ("sh", False, Level.OK, "sh is /"),
        ("no-such-program", False, Level.FAILURE, "is not found in PATH"),
    ],
)
def test_program_is_judged(
    tmp_path: Path, word: str, deployed: bool, level: Level, text: str
) -> None:
    """As far as the release that runs tells."""
    if deployed:
        release = tmp_path / "releases/1"
        release.mkdir(parents=True)
        (release / "data").write_text("")
        (release / "run").write_text("")
        (release / "run").chmod(0o755)
        (tmp_path / "current").symlink_to(release)
    (found,) = program_findings(settings(tmp_path, word))

    assert level is found.level
    assert text in found.text


@pytest.mark.parametrize(
    ("options", "notifies", "told"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"ready": "grace"}, True, True),
        ({"ready": "notify"}, False, False),
        ({"health_path": "/up"}, False, False),
    ],
)
def test_server_without_health_path_or_readiness_gets_attention(
    tmp_path: Path, options: dict[str, Any], notifies: bool, told: bool
) -> None:
    chosen = replace(settings(tmp_path, "x"), **options)
    found = list(readiness_findings(chosen, notifies=notifies))

    assert told == bool(found)
    for each in found:
        assert Level.ATTENTION is each.level
        assert "--start-grace (1 s)" in each.text
        assert "--health-path" in each.advice
