"""Changes of version that a killed dewy leaves, told by the next."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.changes import Attempt
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.history import History, Underway, UnderwayFile
from dewy.system import Clock

CLOCK = Clock(wall=lambda: 1000.0, monotonic=lambda: 12.5)


def attempt() -> Attempt:
    return Attempt("v2", "v1", "deploy", 10.0, "start")


async def told(private: Path, runs: str = "v1", since: float = 1.0) -> list[str]:
    """Return the outcomes in the history once the next dewy has started."""
    next_one = DeploymentLog(History(private), (), CLOCK)
    await next_one.tell_interrupted(runs, since)
    rows = await asyncio.to_thread(History(private).read)
    return [f"{row.outcome}: {row.reason}" for row in rows]


@pytest.mark.parametrize(
    ("runs", "since", "row"),
    [
        ("v1", 1.0, "interrupted: dewy was killed"),
        ("v2", 1.0, "interrupted: dewy was killed"),
        ("v2", 1000.5, "deployed: dewy was killed before it had told"),
    ],
)
async def test_change_cut_by_a_kill_is_told_once(
    tmp_path: Path, runs: str, since: float, row: str
) -> None:
    await DeploymentLog(History(tmp_path), (), CLOCK).begin(attempt())

    assert [row] == await told(tmp_path, runs, since)
    assert [row] == await told(tmp_path, runs, since)


async def test_recorded_change_is_not_told_again(tmp_path: Path) -> None:
    deployment_log, change = DeploymentLog(History(tmp_path), (), CLOCK), attempt()
    await deployment_log.begin(change)
    await deployment_log.record(change, "failed", "bad")
    assert ["failed: bad"] == await told(tmp_path)
    # The kill may come between the row and the removal of the file.
    await deployment_log.begin(change)
    assert ["failed: bad"] == await told(tmp_path)


async def test_change_that_came_to_nothing_is_forgotten(tmp_path: Path) -> None:
    deployment_log, change = DeploymentLog(History(tmp_path), (), CLOCK), attempt()
    await deployment_log.begin(change)
    await deployment_log.forget(change)

    assert [] == await told(tmp_path)


async def test_end_of_earlier_deployment_keeps_current_record(tmp_path: Path) -> None:
    deployment_log, earlier = DeploymentLog(History(tmp_path), (), CLOCK), attempt()
    await deployment_log.begin(earlier)
    await deployment_log.begin(replace(earlier, id="another"))
    await deployment_log.record(earlier, "deployed")

    assert ["deployed: ", "interrupted: dewy was killed"] == await told(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 1}'])
def test_torn_file_tells_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "underway.json").write_text(content)

    assert UnderwayFile(tmp_path).read() is None


def test_disk_that_takes_nothing_is_passed_over(tmp_path: Path) -> None:
    file = UnderwayFile(tmp_path / "none")
    file.write(Underway("id", "v2", "v1", "deploy", 1.0))
    file.clear()

    assert file.read() is None
