"""Points to work with."""

from __future__ import annotations

import pytest

from dewy.histogram import Histogram
from dewy.telemetry.instruments import INSTRUMENTS, MetricKind
from dewy.telemetry.points import Point


@pytest.fixture
def points() -> list[Point]:
    """One of every instrument: 7, or 0.3 and 2 seconds; every label is its name."""
    made = []
    for each in INSTRUMENTS.values():
        value: float | Histogram = 7
        if each.kind is MetricKind.HISTOGRAM:
            value = Histogram(each.bounds)
            value.add(0.3)
            value.add(2.0)
        made.append(Point(each.name, value, each.labels))
    return made
