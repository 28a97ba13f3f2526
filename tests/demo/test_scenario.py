"""The demo as a whole, as somebody who meets dewy sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dewy.demo import scenario
from dewy.demo.load import Tally


def test_the_demo_shows_an_update_and_a_rollback_without_a_failure(tmp_path: Path):
    shown = subprocess.run(
        [sys.executable, "-m", "dewy", "demo"],
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert (0, "") == (shown.returncode, shown.stderr), shown.stdout
    for line in (
        "failures         0",
        "v1.2.0           never took over: generation 3 ended (exit status 1)",
        "runs at the end  v1.1.0",
    ):
        assert line in shown.stdout


@pytest.mark.parametrize("failure", [ConnectionResetError(), None])
def test_failed_request_yields_nonzero_exit_status(
    monkeypatch: pytest.MonkeyPatch, failure: Exception | None
):
    """Whoever shows the demo in a script has to notice."""
    tally = Tally()
    tally.answered("v1.1.0")
    if failure:
        tally.failed(failure)

    async def told(*args: object) -> tuple[Tally, scenario.Story]:
        return tally, scenario.Story(0.6, "it crashed", "v1.1.0")

    monkeypatch.setattr(scenario, "_tell_story", told)

    assert (1 if failure else 0) == scenario.run()
