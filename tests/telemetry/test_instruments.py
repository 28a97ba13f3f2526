"""The list of metrics."""

from __future__ import annotations

import pytest

from dewy.telemetry.instruments import INSTRUMENTS, Instrument, MetricKind


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=lambda i: i.name)
def test_instrument_is_whole(instrument: Instrument) -> None:
    """A histogram has ascending bounds in seconds, and only a histogram has any."""
    assert instrument.name.startswith("dewy.")
    assert instrument.help.endswith(".")
    assert (instrument.kind is MetricKind.HISTOGRAM) is bool(instrument.bounds)
    assert sorted(instrument.bounds) == list(instrument.bounds)
    assert instrument.unit in {"", "s", "By"}
    assert len({*instrument.labels}) == len(instrument.labels)


def test_buckets_are_the_originals() -> None:
    """Dashboards quote them in `le`."""
    connect = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
    ended = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
    deployed = (1, 5, 10, 30, 60, 120, 300, 600)

    assert connect == INSTRUMENTS["dewy.proxy.connect.latency"].bounds
    assert ended == INSTRUMENTS["dewy.proxy.connection.duration"].bounds
    assert deployed == INSTRUMENTS["dewy.deployment.duration"].bounds
