"""Every deployment of a root, kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy import history
from dewy.deploy.history import ROTATED, History, Record

RECORD = Record(
    at=1.5,
    tag="v1",
    previous="v0",
    action="deploy",
    outcome="failed",
    step="start",
    reason="größer als\nerlaubt",
    seconds=0.25,
    log_tail=("one", "two"),
)


def test_records_come_back_in_order(tmp_path: Path) -> None:
    """One line each, whatever their texts hold."""
    records = [replace(RECORD, tag=f"v{n}") for n in range(3)]
    kept = History(tmp_path)
    for record in records:
        kept.append(record)

    assert records == kept.read()
    assert 3 == kept.path.read_bytes().count(b"\n")
    assert 0o600 == kept.path.stat().st_mode & 0o777


def test_missing_history_reads_as_empty(tmp_path: Path) -> None:
    """Looking creates nothing."""
    assert [] == History(tmp_path / "none").read()
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("torn", [b'{"at": 1, "tag', b"\x00\x00", b'{"at": 1}', b"7"])
def test_torn_last_line_costs_itself_only(tmp_path: Path, torn: bytes) -> None:
    """A power cut in the middle of a write."""
    kept = History(tmp_path)
    kept.append(RECORD)
    with kept.path.open("ab") as file:
        file.write(torn)
    kept.append(replace(RECORD, tag="v2"))

    assert ["v1", "v2"] == [record.tag for record in kept.read()]


def test_keys_of_a_newer_dewy_are_passed_over(tmp_path: Path) -> None:
    """The record is still one."""
    kept = History(tmp_path)
    kept.append(RECORD)
    line = kept.path.read_bytes().replace(b"{", b'{"moon": 1, ', 1)
    kept.path.write_bytes(line)

    assert [RECORD] == kept.read()


def test_history_is_rotated_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that deploys for years does not fill its disk with it."""
    monkeypatch.setattr(history, "LARGEST", 500)
    kept = History(tmp_path)
    for number in range(50):
        kept.append(replace(RECORD, tag=f"v{number}"))
    tags = [record.tag for record in kept.read()]
    files = list(tmp_path.iterdir())

    assert 1 + ROTATED == len(files)
    assert max(file.stat().st_size for file in files) <= 500
    assert [f"v{n}" for n in range(50)][-len(tags) :] == tags
    assert len(tags) >= ROTATED


def test_a_name_that_is_no_text_is_recorded(tmp_path: Path) -> None:
    """As file names may be; Python reads them with lone surrogates."""
    record = replace(RECORD, reason="cannot read \udcff")
    kept = History(tmp_path)
    kept.append(record)

    assert [record] == kept.read()
