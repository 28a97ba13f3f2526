"""Results that were kept are the results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.comparisons import Plan, Samples
from benchmarks.gate import as_json, as_text, from_json, judged, settled
from benchmarks.rows import Results, Verdict, failures, judge
from benchmarks.workloads import CONNECTING, SMALL, Sample

RESULTS = Results(
    {SMALL.name: {"dewy": [Sample(9, 1.0, 0.1, 0.2, 3.0)], "haproxy": []}},
    {"dewy": 512.0},
)


def test_results_survive_being_kept() -> None:
    assert RESULTS == from_json(json.loads(json.dumps(as_json(RESULTS))))


def test_figures_stand_beside_their_aims_and_pass_marks() -> None:
    text = as_text(Results(idle_bytes={"dewy": 1280.0}))
    title = "KiB per idle connection, 9,000 of them"
    assert f"| {title} | 1.25 | ≤ 1.0 | missed | ≤ 1.5 | passed |" in text.splitlines()


@pytest.mark.parametrize(
    ("rates", "made", "missed"),
    [
        ([[90, 90, 90]], 1, 0),
        ([[50, 50, 90], [90, 90, 90]], 2, 0),
        ([[50, 50, 50], [50, 90, 90]], 2, 1),
    ],
)
def test_missed_pass_mark_triggers_second_measurement(
    rates: Sequence[Sequence[float]], made: int, missed: int, tmp_path: Path
) -> None:
    """And the rounds of both count: a slow proxy does not get away with it."""
    told: list[str] = []
    left = iter(rates)

    def compare(plan: Plan) -> dict[str, Samples]:
        told.append("compared")
        taken = next(left)
        return {
            CONNECTING.name: {
                "dewy": [Sample(rate, 1.0, 0.1, 0.2, 3.0) for rate in taken],
                "haproxy": [Sample(100, 1.0, 0.1, 0.2, 3.0) for _ in taken],
            }
        }

    plan = Plan(3, 1, tmp_path, [], lambda line: None)
    results = Results(settled(compare, plan))

    assert made == len(told)
    assert missed == len(failures(results, judge(results)))


def test_requests_that_failed_are_not_measured_away(tmp_path: Path) -> None:
    broken = [Sample(10, 1.0, 0.1, 0.2, 3.0, errors=1)]
    good = [Sample(100, 1.0, 0.1, 0.2, 3.0)]
    left = iter([broken, good])

    def compare(plan: Plan) -> dict[str, Samples]:
        return {CONNECTING.name: {"dewy": next(left), "haproxy": good}}

    plan = Plan(1, 1, tmp_path, [], lambda line: None)
    results = Results(settled(compare, plan))

    assert f"{CONNECTING.name}: 1 requests failed through dewy" in failures(
        results, judge(results)
    )


def test_figure_that_goes_by_the_machine_decides_in_the_whole_run_only() -> None:
    verdicts = [
        Verdict("by machine", 2.1, 4.0, 2.5, True, by_machine=True),
        Verdict("of ours", 0.9, 1.0, 0.85, True),
    ]

    assert verdicts[1:] == judged(verdicts, short=True)
    assert verdicts == judged(verdicts, short=False)


@pytest.mark.parametrize(("whole", "rounds"), [(True, 15), (False, 5)])
def test_rows_of_p99_have_more_rounds_where_they_are_judged(
    whole: bool, rounds: int, tmp_path: Path
) -> None:
    plan = Plan(5, 1, tmp_path, [], lambda line: None, whole)

    assert rounds == plan.often(3).rounds
