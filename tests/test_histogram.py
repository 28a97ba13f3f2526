"""Histograms that are counted as things happen."""

from __future__ import annotations

from dewy.histogram import Histogram


def test_histogram_bucket_bounds_are_inclusive() -> None:
    """As the relay counts, and as Prometheus reads `le`."""
    found = Histogram((0.0, 1.0, 5.0))
    for value in (0.0, 0.5, 1.0, 1.1, 5.0, 60.0):
        found.add(value)

    assert [1, 2, 2, 1] == found.counts
    assert 67.6 == found.total


def test_histogram_accepts_existing_counts_unchanged() -> None:
    """The relay hands over its own counts."""
    found = Histogram((1.0,), (3, 4), 12.5)

    assert ((1.0,), [3, 4], 12.5) == (found.bounds, found.counts, found.total)
