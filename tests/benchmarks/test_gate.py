"""Results that were kept are the results."""

from __future__ import annotations

import json

from benchmarks.gate import as_json, as_text, from_json
from benchmarks.rows import Results
from benchmarks.workloads import SMALL, Sample

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
