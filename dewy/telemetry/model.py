"""Conversion of points and deployments to the types of OpenTelemetry's SDK."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import cast

from opentelemetry import trace
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
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Status, StatusCode

from .. import __version__
from ..histogram import Histogram as Counted
from .instruments import INSTRUMENTS, Instrument, MetricKind
from .points import Point

__all__ = ["Course", "Model", "Spans", "Step"]

SCOPE = "github.com/linyows/dewy"
"""Name of the original's meter, by which dashboards may select."""

CUMULATIVE = AggregationTemporality.CUMULATIVE

# OTLP allows histograms without minimum and maximum; the SDK's types do not.
NOT_COUNTED = cast("float", None)


class Model:
    """
    Converter of points to the SDK's data.

    The SDK's own instruments would need a call per connection, to build histograms that
    the relay keeps already.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._begun = time_ns()

    def made(self, points: Iterable[Point]) -> MetricsData:
        """
        Return the data of *points*, in the order of `INSTRUMENTS`.

        Raises:
            KeyError: a point names no instrument.
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
        # Without a version, like the original's, so that series outlive an upgrade.
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


MOST = 512
"""Maximum of spans that wait for a collector; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    A step of a deployment.

    Attributes:
        name: `fetch`, `unpack` …

        begun, ended: Seconds since the epoch.
    """

    name: str
    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Course:
    """
    A deployment that is over, for a trace.

    Attributes:
        action: `deploy` or `rollback`.

        command, version, previous: Command, new version, and version before.

        outcome: `deployed`, `failed` or `rolled back`.

        reason: Reason in one line, or "".

        steps: Steps in order, at least one.
    """

    action: str
    command: str
    version: str
    previous: str
    outcome: str
    reason: str
    steps: tuple[Step, ...]


class Spans:
    """Spans of deployments that are over, kept until they are delivered."""

    def __init__(self, resource: Resource) -> None:
        self._kept: deque[ReadableSpan] = deque(maxlen=MOST)
        provider = TracerProvider(
            resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False
        )
        provider.add_span_processor(_Keeping(self._kept))
        self._tracer = provider.get_tracer(SCOPE, __version__)

    def add(self, course: Course) -> None:
        """Add a deployment that is over."""
        whole = self._tracer.start_span(
            f"dewy {course.action}",
            start_time=_nanoseconds(course.steps[0].begun),
            attributes={
                "dewy.command": course.command,
                "dewy.version": course.version,
                "dewy.previous": course.previous,
                "dewy.outcome": course.outcome,
            },
        )
        good, within = course.outcome == "deployed", trace.set_span_in_context(whole)
        for step in course.steps:
            span = self._tracer.start_span(
                step.name, within, start_time=_nanoseconds(step.begun)
            )
            if step is course.steps[-1] and not good:
                span.set_status(Status(StatusCode.ERROR, course.reason))
            span.end(_nanoseconds(step.ended))
        if not good:
            whole.set_status(Status(StatusCode.ERROR, course.reason))
        whole.end(_nanoseconds(course.steps[-1].ended))

    def take(self) -> list[ReadableSpan]:
        """Remove all spans, and return them."""
        taken = list(self._kept)
        self._kept.clear()
        return taken

    def put_back(self, spans: Sequence[ReadableSpan]) -> None:
        """Put undelivered spans back, except for the oldest if there is no room."""
        room = MOST - len(self._kept)
        self._kept.extendleft(reversed(spans[max(len(spans) - room, 0) :]))


class _Keeping(SpanProcessor):
    def __init__(self, kept: deque[ReadableSpan]) -> None:
        self._kept = kept

    def on_end(self, span: ReadableSpan) -> None:
        self._kept.append(span)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
