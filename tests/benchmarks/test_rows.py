"""The gate: who passes, who is named, and what is no measurement at all."""

from __future__ import annotations

import math

import pytest

from benchmarks.rows import RATE, Results, failures, judge, ratio
from benchmarks.workloads import CONNECTING, SMALL, Sample


def sample(requests: float = 100, *, cpu: float = 1.0, errors: int = 0) -> Sample:
    """A second of measurement."""
    return Sample(requests, 1.0, p50=0.001, p99=0.002, cpu=cpu, errors=errors)


def results(**taken: list[Sample]) -> Results:
    """What contestants did with small keep-alive requests."""
    return Results({SMALL.name: taken})


def wrong(outcome: Results) -> list[str]:
    """What the gate says."""
    return failures(outcome, judge(outcome))


def test_equal_contestants_fail_only_cpu_pass_mark() -> None:
    equal = results(dewy=[sample()], haproxy=[sample()])
    assert ["CPU per request, 11 bytes: 1.00, must be at most 0.95"] == wrong(equal)


def test_cheaper_contestant_passes() -> None:
    assert [] == wrong(results(dewy=[sample(cpu=0.8)], haproxy=[sample()]))


def test_slower_contestant_is_named_with_figure_and_pass_mark() -> None:
    slower = results(dewy=[sample(80, cpu=0.7)], haproxy=[sample()])
    name = f"requests/s, {SMALL.name}"
    assert [f"{name}: 0.80, must be at least 0.85"] == wrong(slower)


def test_each_workload_has_its_own_pass_mark() -> None:
    """A connection per request may be as slow as three quarters."""
    taken = {"dewy": [sample(80)], "haproxy": [sample()]}
    assert [] == wrong(Results({CONNECTING.name: taken}))


def test_median_of_the_rounds_counts() -> None:
    """One bad round, of a machine that was busy otherwise, is no failure."""
    rounds = {"dewy": [sample(10), *[sample(90)] * 2], "haproxy": [sample()] * 3}
    assert pytest.approx(0.9) == ratio(rounds, "dewy", "haproxy", RATE)


@pytest.mark.parametrize(("dewy", "figure"), [(90, 0.9), (60, 0.6)])
def test_best_peer_of_the_row_is_the_mark(dewy: float, figure: float) -> None:
    """HAProxy copies or splices, whichever is better for it."""
    taken = {
        "dewy": [sample(dewy)],
        "haproxy": [sample(80)],
        "haproxy-auto": [sample()],
        "haproxy-newer": [sample(90)],
        "nginx": [sample(500)],
    }

    assert pytest.approx(figure) == judge(Results({SMALL.name: taken}))[0].figure


def test_failed_requests_fail_the_gate_whatever_the_speed() -> None:
    broken = results(dewy=[sample(cpu=0.5, errors=3)], haproxy=[sample()])
    assert [f"{SMALL.name}: 3 requests failed through dewy"] == wrong(broken)


def test_too_much_memory_is_named() -> None:
    said = wrong(Results(idle_bytes={"dewy": 2048.0}))
    assert ["KiB per idle connection, 9,000 of them: 2.00, must be at most 1.5"] == said


def test_peer_without_measurements_fails_gate() -> None:
    """A peer that served nothing is no proof of anything."""
    nothing = results(dewy=[sample(cpu=0.5)], haproxy=[sample(0, cpu=1.0)])
    assert math.isnan(ratio(nothing.samples[SMALL.name], "dewy", "haproxy", RATE))
    assert wrong(nothing)
