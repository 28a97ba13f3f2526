"""`dewy history`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dewy.deploy.history import History, Record
from tests.cli.conftest import Dewy


@pytest.fixture
def records(root: Path) -> list[Record]:
    """One that went well, one that did not."""
    (root / ".dewy").mkdir()
    records = [
        Record(1.0, "v1", "", "deploy", "deployed", "done", "", 0.5),
        Record(
            2.0, "v2", "v1", "deploy", "failed", "start", "died at once", 70, ("x",)
        ),
    ]
    for record in records:
        History(root / ".dewy").append(record)
    return records


def test_table_tells_every_deployment(dewy: Dewy, records: list[Record]) -> None:
    """Oldest first, and of a failure where and why."""
    header, first, second = dewy("history").out.splitlines()

    assert ["WHEN", "VERSION", "FROM", "OUTCOME", "TOOK", "WHY"] == header.split()
    assert first.endswith("v1       -     deployed  0.5s")
    assert second.endswith("v2       v1    failed    1m 10s  start: died at once")


def test_times_are_local_from_begin_to_end(
    dewy: Dewy, records: list[Record], tokyo: None
) -> None:
    _, first, second = dewy("history").out.splitlines()

    assert first.startswith("1970-01-01 09:00:00 to 09:00:01 +09:00")
    assert second.startswith("1970-01-01 08:58:52 to 09:00:02 +09:00")


def test_json_holds_everything(dewy: Dewy, records: list[Record]) -> None:
    """The last lines of the program, too."""
    found = json.loads(dewy("history", "--json").out)

    assert ["v1", "v2"] == [each["tag"] for each in found]
    assert ["x"] == found[1]["log_tail"]


def test_only_the_last_are_shown(dewy: Dewy, records: list[Record]) -> None:
    """As many as asked for."""
    found = json.loads(dewy("history", "--json", "-n", "1").out)

    assert ["v2"] == [each["tag"] for each in found]
    assert 2 == dewy("history", "-n", "0").status


def test_no_history_is_said(dewy: Dewy) -> None:
    """In words for people, as an empty list for programs."""
    assert "nothing was deployed here yet\n" == dewy("history").out
    assert "[]\n" == dewy("history", "--json").out
