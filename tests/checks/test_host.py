"""Clock, descriptors, and the root's file system."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dewy.checks.finding import Level
from dewy.checks.host import (
    clock_finding,
    descriptor_finding,
    host_findings,
    root_findings,
)
from dewy.config import Settings


@pytest.mark.parametrize(("state", "level"), [(0, Level.OK), (5, Level.ATTENTION)])
def test_clock_that_is_not_synchronised_needs_attention(
    state: int, level: Level
) -> None:
    """5 is TIME_ERROR."""
    assert level is clock_finding(state).level


@pytest.mark.parametrize(
    ("used", "limit", "level"),
    [
        (10, 4096, Level.OK),
        (10, -1, Level.OK),
        (4000, 4096, Level.ATTENTION),
        (0, 256, Level.ATTENTION),
    ],
)
def test_scarce_descriptors_need_attention(used: int, limit: int, level: Level) -> None:
    """Before connections fail."""
    assert level is descriptor_finding(used, limit).level


def test_descriptors_are_those_of_the_process_that_runs() -> None:
    """Its own limit counts."""
    found = {each.subject: each for each in host_findings(os.getpid())}

    assert "used" in found["descriptors"].text
    assert not found["descriptors"].text.startswith("0 of")


@pytest.mark.parametrize(
    ("flag", "told"),
    [(os.ST_RDONLY, "make the file system writable"), (0, "chown")],
)
def test_advice_for_unwritable_root_goes_by_its_file_system(
    flag: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of a read-only one makes no difference."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flag))
    settings = Settings(command="assets", root=tmp_path, cache_dir=tmp_path)
    first = next(root_findings(settings))

    assert Level.FAILURE == first.level
    assert told in first.advice
