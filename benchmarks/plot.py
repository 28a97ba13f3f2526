"""
Draws what the gate kept with `--json`: ratios to HAProxy, workload by workload.

    python -m benchmarks.plot results.json docs/performance.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .gate import from_json
from .rows import CPU, P99, RATE, Measure, Results, ratio
from .workloads import WORKLOADS

PANELS: tuple[tuple[str, Measure], ...] = (
    ("requests/s (longer is better)", RATE),
    ("p99 (shorter is better)", P99),
    ("CPU per request (shorter is better)", CPU),
)
CONTESTANTS = {"dewy": "#2a7f9e", "nginx": "#b9b9b9"}
BAR = 0.38


def draw_panel(axes: Axes, results: Results, title: str, measure: Measure) -> None:
    """A pair of bars for each workload, and HAProxy's own figure as a line at 1."""
    shown = [
        workload.name for workload in WORKLOADS if workload.name in results.samples
    ]
    for offset, (name, colour) in enumerate(CONTESTANTS.items()):
        ratios = [
            ratio(results.samples[workload], name, "haproxy", measure)
            for workload in shown
        ]
        places = [place + offset * BAR for place in range(len(shown))]
        bars = axes.barh(places, ratios, height=BAR, color=colour, label=name)
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_title(title, fontsize=9)
    axes.set_yticks([place + BAR / 2 for place in range(len(shown))], shown, fontsize=8)
    axes.margins(x=0.15)


def draw(results: Results, target: Path) -> None:
    """Write the figure to *target*."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (title, measure) in zip(panels, PANELS, strict=True):
        draw_panel(axes, results, title, measure)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", fontsize=8)
    figure.suptitle("One thread each, relative to HAProxy (the line at 1)", fontsize=10)
    # Text stays text, and the same results give the same file.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "dewy"}):
        figure.savefig(target, format="svg", metadata={"Date": None})


def main() -> None:
    """Read the results named first, write the figure named second."""
    source, target = sys.argv[1:]
    draw(from_json(json.loads(Path(source).read_text())), Path(target))


if __name__ == "__main__":
    main()
