"""Variables that ENVDIR names."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.supervisor import environment
from dewy.supervisor.environment import EnvDir, EnvFiles
from tests.needs import needs
from tests.standins.fuse import hung


@pytest.fixture
async def variables(tmp_path: Path) -> AsyncIterator[EnvDir]:
    variables = EnvDir(tmp_path.parent)
    yield variables
    await variables.close()


async def test_directory_is_read_anew_each_time(
    variables: EnvDir, tmp_path: Path
) -> None:
    (tmp_path / "COLOUR").write_text("red\n")
    assert {"COLOUR": "red"} == await variables.read(str(tmp_path))

    (tmp_path / "COLOUR").write_text("blue\n")
    assert {"COLOUR": "blue"} == await variables.read(str(tmp_path))


async def test_no_directory_has_no_variables(variables: EnvDir) -> None:
    assert {} == await variables.read("")


async def test_missing_envdir_keeps_last_variables(
    variables: EnvDir, tmp_path: Path
) -> None:
    (tmp_path / "COLOUR").write_text("red\n")
    await variables.read(str(tmp_path))
    os.rename(tmp_path, tmp_path.with_name("elsewhere"))

    assert {"COLOUR": "red"} == await variables.read(str(tmp_path))


@needs("fuse")
async def test_hanging_envdir_keeps_last_variables(
    variables: EnvDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "PATIENCE", 2.0)
    (tmp_path / "COLOUR").write_text("red\n")
    await variables.read(str(tmp_path))

    with hung(tmp_path):
        assert {"COLOUR": "red"} == await variables.read(str(tmp_path))
        assert {"COLOUR": "red"} == await variables.read(str(tmp_path))


@pytest.fixture
async def env_files(tmp_path: Path) -> AsyncIterator[EnvFiles]:
    files = EnvFiles(tmp_path, ["one.env", str(tmp_path / "two.env")])
    yield files
    await files.close()


async def test_env_files_are_read_anew_each_time_the_later_on_top(
    env_files: EnvFiles, tmp_path: Path
) -> None:
    (tmp_path / "one.env").write_text("A=1\nB=1\n")
    (tmp_path / "two.env").write_text("# none\nB=2\n")
    assert {"A": "1", "B": "2"} == await env_files.read()

    (tmp_path / "one.env").write_text("A=3\n")
    assert {"A": "3", "B": "2"} == await env_files.read()


async def test_unreadable_env_file_keeps_last_variables(
    env_files: EnvFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And no value is told."""
    (tmp_path / "one.env").write_text("A=1\n")
    (tmp_path / "two.env").write_text("B=2\n")
    await env_files.read()
    (tmp_path / "one.env").unlink()
    (tmp_path / "two.env").write_text("no good=s3cret\n")

    assert {"A": "1", "B": "2"} == await env_files.read()
    assert ["Env file not read"] * 2 == caplog.messages
    assert "s3cret" not in str([vars(record) for record in caplog.records])
