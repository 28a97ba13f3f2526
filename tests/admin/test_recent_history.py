"""The last deployments, read when there are new ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.admin.recent_history import RecentHistory
from dewy.deploy.history import History, Record


def record(tag: str) -> Record:
    return Record(1.0, tag, "", "deploy", "failed", "start", "died", 2.0, ("bye",))


def test_newest_come_first_and_not_all(tmp_path: Path) -> None:
    for number in range(5):
        History(tmp_path).append(record(f"v{number}"))
    found = RecentHistory(tmp_path, most=2).read()

    assert ["v4", "v3"] == [each["tag"] for each in found]
    assert "died" == found[0]["reason"]


def test_recent_history_omits_program_log_tail(tmp_path: Path) -> None:
    """Whoever may read the root's files reads it there."""
    History(tmp_path).append(record("v1"))
    (found,) = RecentHistory(tmp_path).read()

    assert "log_tail" not in found
    assert found["wrote"]
    assert "bye" not in str(found)


def test_a_new_root_has_none(tmp_path: Path) -> None:
    past = RecentHistory(tmp_path)
    assert [] == past.read()
    History(tmp_path).append(record("v1"))

    assert ["v1"] == [each["tag"] for each in past.read()]


def test_unchanged_history_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    History(tmp_path).append(record("v1"))
    past = RecentHistory(tmp_path)
    first = past.read()
    monkeypatch.setattr(History, "read", lambda self: pytest.fail("read again"))

    assert first is past.read()
