"""The measurements as text: the verdicts, and what they were drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from .rows import CPU, MACHINE, P50, P99, RATE, Measure, Results, Verdict, ratio
from .workloads import PACED, WORKLOADS


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))


def verdicts_table(verdicts: Iterable[Verdict]) -> str:
    """Figure, aim and pass mark of every row."""
    header = ("figure", "measured", "aim", "", "gate", "")
    return _markdown(header, [_verdict(verdict) for verdict in verdicts])


def _verdict(verdict: Verdict) -> tuple[str, ...]:
    sign = "≥" if verdict.more_is_better else "≤"
    return (
        verdict.title,
        f"{verdict.figure:.2f}",
        f"{sign} {verdict.aim}",
        "reached" if verdict.reached else "missed",
        f"{sign} {verdict.gate}",
        "passed" if verdict.passed else "FAILED",
    )


def workloads_table(results: Results) -> str:
    """Medians of the three proxies under every workload, with ratios to HAProxy."""
    header = ("workload", "proxy", "requests/s", "p50 ms", "p99 ms")
    header += ("CPU µs/request", "whole machine µs/request")
    lines = [
        (workload.name, peer, *_figures(results, workload.name, peer))
        for workload in (*WORKLOADS, PACED)
        if workload.name in results.samples
        for peer in results.samples[workload.name]
    ]
    return _markdown(header, lines)


def _figures(results: Results, workload: str, peer: str) -> list[str]:
    scaled: list[tuple[Measure, float]] = [
        (RATE, 1),
        (P50, 1e3),
        (P99, 1e3),
        (CPU, 1e6),
        (MACHINE, 1e6),
    ]
    samples = results.samples[workload]
    return [
        f"{_significant(median(map(measure, samples[peer])) * scale)} "
        f"({ratio(samples, peer, 'haproxy', measure):.2f})"
        for measure, scale in scaled
    ]


def _significant(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def streams_line(results: Results, workload: str) -> str:
    """What the bulk streams got beside the small clients."""
    fetched = ", ".join(
        f"{peer} {median(sample.bulk for sample in taken) / 1e6:,.0f} MB/s"
        for peer, taken in results.samples[workload].items()
    )
    return f"The bulk streams meanwhile: {fetched}."


def memory_table(results: Results) -> str:
    """Memory of an idle connection through each proxy."""
    lines = [(name, f"{taken:,.0f}") for name, taken in results.idle_bytes.items()]
    return _markdown(("proxy", "bytes per idle connection"), lines)
