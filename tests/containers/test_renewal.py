"""The row and the lines of a changed option that all replicas are replaced for."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.containers import restart_policy
from dewy.containers.options.arguments import RunOptions
from dewy.containers.renewal import changed_options
from dewy.deploy.changes import Attempt
from dewy.errors import StartFailed
from tests.containers.test_reconciler import kept, whole
from tests.eventually import eventually
from tests.standins.crews import Bench

Row = tuple[Attempt, str, str, str]


def rolled(bench: Bench) -> list[Row]:
    """Roll another command out to all replicas; the rows that come of it."""
    settings = replace(bench.replica_set.settings, cmd=("serve",))
    bench.replica_set.renew(settings, RunOptions(), "--cmd changed")
    return bench.rows


async def test_changed_option_leaves_a_row_and_lines_with_its_name_and_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with kept(tmp_path) as bench:
        rows = rolled(bench)
        await eventually(lambda: rows and whole(bench))
        renewal = bench.replica_set.deployer.renewal

    ((attempt, outcome, reason, _),) = rows
    assert ("reload", "v1", "") == (attempt.action, attempt.target, attempt.previous)
    assert ("reloaded", "--cmd changed") == (outcome, reason)
    lines = [vars(r) for r in caplog.records if r.message.startswith("Options ")]
    assert ["--cmd changed"] * 2 == [line["options"] for line in lines]
    assert {attempt.id} == {line["deployment"] for line in lines}
    assert renewal.current is None
    progress = [vars(r).get("progress") for r in caplog.records]
    assert "replica 1 of 3 is healthy" in progress


async def test_options_that_do_not_start_are_a_failed_row_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once while it stays the same; and a row when they do at last."""
    monkeypatch.setattr(restart_policy, "FIRST_PAUSE", 0.01)
    async with kept(tmp_path) as bench:
        bad = StartFailed("replica 0 ended", log_tail=("no such command",))
        bench.host.fail("create", bad, bad)
        rows = rolled(bench)
        await eventually(lambda: len(rows) == 2 and whole(bench))

    assert [
        ("failed", "replica 0 ended", "no such command"),
        ("reloaded", "--cmd changed", ""),
    ] == [row[1:] for row in rows]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ((), ("--memory", "1g"), ["run option --memory"]),
        (("-e", "A=1", "-e", "B=2"), ("-e", "A=1", "-e", "B=3"), ["run option -e"]),
        (("-e", "A=1"), ("-e", "A=1"), []),
    ],
)
def test_options_in_which_words_differ_are_named(
    old: tuple[str, ...], new: tuple[str, ...], names: list[str]
) -> None:
    assert names == changed_options(old, new)
