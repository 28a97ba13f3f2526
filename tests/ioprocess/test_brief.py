"""Rare looks at files: a helper process that ends with each."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dewy.ioprocess import brief, reading
from tests.eventually import eventually
from tests.needs import needs
from tests.standins.fuse import hung


def helpers(directory: Path) -> int:
    """The number of this process' helpers for *directory*."""
    pid = os.getpid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(os.fsencode(directory) in command(child) for child in children)


def command(child: str) -> bytes:
    """The command line of *child*; empty when it has been reaped."""
    try:
        return Path(f"/proc/{child}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def _remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every directory is one that may hang."""
    monkeypatch.setattr(brief, "may_hang", lambda path: True)


async def test_disk_of_this_host_needs_no_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brief, "may_hang", lambda path: False)

    assert os.getpid() == await brief.look(tmp_path, os.getpid)


@pytest.mark.usefixtures("_remote")
async def test_mount_that_may_hang_is_looked_at_by_a_helper(tmp_path: Path) -> None:
    assert os.getpid() != await brief.look(tmp_path, os.getpid)


@pytest.mark.usefixtures("_remote")
async def test_looks_at_once_all_have_their_answers(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    looks = [
        brief.look(tmp_path, reading.content, tmp_path / "file", 10) for _ in range(3)
    ]

    assert [b"here"] * 3 == await asyncio.gather(*looks)
    assert 0 == helpers(tmp_path)


@pytest.mark.usefixtures("_remote")
async def test_failure_is_that_of_the_function(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await brief.look(tmp_path, reading.status, tmp_path / "none")

    assert 0 == helpers(tmp_path)


@needs("fuse")
async def test_directory_that_hangs_has_a_single_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it answers again, so does that."""
    monkeypatch.setattr(brief, "PATIENCE", 2.0)
    with hung(tmp_path):
        looks = [
            brief.look(tmp_path, reading.status, tmp_path / "file") for _ in range(3)
        ]
        failures = await asyncio.gather(*looks, return_exceptions=True)
        assert "not read within" in str(failures[0])
        assert all("hangs since" in str(failure) for failure in failures[1:])
        assert 1 == helpers(tmp_path)
    (tmp_path / "file").touch()

    async def answers() -> bool:
        try:
            return bool(await brief.look(tmp_path, reading.status, tmp_path / "file"))
        except OSError:
            return False

    async with asyncio.timeout(30):
        while not await answers():
            pass
    await eventually(lambda: 0 == helpers(tmp_path))
