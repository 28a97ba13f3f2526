"""Points in the form of OpenTelemetry's SDK, which its exporters take."""

from __future__ import annotations

from collections.abc import Iterable
from time import time_ns
from typing import cast

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from ..histogram import Histogram as Counted
from .instruments import INSTRUMENTS, Instrument, MetricKind
from .points import Point

__all__ = ["SCOPE", "Model"]

SCOPE = "github.com/linyows/dewy"
"""Name of the original's meter, as dashboards may select by it."""

CUMULATIVE = AggregationTemporality.CUMULATIVE

# The protocol knows histograms without them; the SDK's types do not.
NOT_COUNTED = cast("float", None)


class Model:
    """
    Converter of points to the SDK's data.

    The SDK's own instruments cannot do this: they would have to be told of every single
    connection to make a histogram that the relay has made already.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._begun = time_ns()

    def made(self, points: Iterable[Point]) -> MetricsData:
        """
        Return *points* by instrument, in the order in which those are listed.

        Raises:
            KeyError: a point has no known instrument.
        """
        found: dict[str, list[Point]] = {}
        for point in points:
            found.setdefault(point.name, []).append(point)
        unknown = found.keys() - INSTRUMENTS.keys()
        if unknown:
            raise KeyError(", ".join(sorted(unknown)))
        now = time_ns()
        metrics = [
            self._metric(instrument, found[name], now)
            for name, instrument in INSTRUMENTS.items()
            if name in found
        ]
        # Without a version, as the original's: series outlive an upgrade.
        scope = ScopeMetrics(InstrumentationScope(SCOPE, ""), metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _metric(self, instrument: Instrument, points: list[Point], now: int) -> Metric:
        data: Sum | Gauge | Histogram
        if instrument.kind is MetricKind.HISTOGRAM:
            data = Histogram(
                [self._histogram(instrument, each, now) for each in points], CUMULATIVE
            )
        else:
            numbers = [self._number(instrument, each, now) for each in points]
            if instrument.kind is MetricKind.GAUGE:
                data = Gauge(numbers)
            else:
                data = Sum(numbers, CUMULATIVE, instrument.kind is MetricKind.COUNTER)
        return Metric(instrument.name, instrument.help, instrument.unit, data)

    def _number(
        self, instrument: Instrument, point: Point, now: int
    ) -> NumberDataPoint:
        assert not isinstance(point.value, Counted)
        labels = _labels(instrument, point)
        return NumberDataPoint(labels, self._begun, now, point.value)

    def _histogram(
        self, instrument: Instrument, point: Point, now: int
    ) -> HistogramDataPoint:
        found = point.value
        assert isinstance(found, Counted)
        return HistogramDataPoint(
            attributes=_labels(instrument, point),
            start_time_unix_nano=self._begun,
            time_unix_nano=now,
            count=sum(found.counts),
            sum=found.total,
            bucket_counts=list(found.counts),
            explicit_bounds=list(found.bounds),
            min=NOT_COUNTED,
            max=NOT_COUNTED,
        )


def _labels(instrument: Instrument, point: Point) -> dict[str, str]:
    return dict(zip(instrument.labels, point.labels, strict=True))
