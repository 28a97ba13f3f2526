"""Figures as text in Prometheus' format."""

from __future__ import annotations

import re
from dataclasses import replace

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Metric, MetricsData, ScopeMetrics
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

__all__ = ["CONTENT_TYPE", "Exposition"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_WHOLE_BOUND = re.compile(rb'(\ble="[0-9]+)\.0"')

WORDS = {"By": "bytes", "s": "seconds"}


class Exposition:
    """Exporter's own translation, of data that did not come from a meter."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._reader = _Reader(registry=self._registry)
        # The exporter reads this first, and finds nothing.
        self._none = MeterProvider(
            metric_readers=[self._reader], shutdown_on_exit=False
        )

    def text(self, data: MetricsData) -> bytes:
        """Return *data* in the text format, with bounds as Go writes them: `le="1"`."""
        self._reader.take(data)
        return _WHOLE_BOUND.sub(rb'\1"', generate_latest(self._registry))


class _Reader(PrometheusMetricReader):
    def take(self, data: MetricsData) -> None:
        """Make *data* the data that is read next."""
        resources = [
            replace(resource, scope_metrics=[*map(_named, resource.scope_metrics)])
            for resource in data.resource_metrics
        ]
        self._receive_metrics(MetricsData(resources))


def _named(scope: ScopeMetrics) -> ScopeMetrics:
    return replace(scope, metrics=[*map(_without_echo, scope.metrics)])


def _without_echo(metric: Metric) -> Metric:
    """
    Return *metric* with no unit where its name contains the unit already.

    Other languages do the same: Python's exporter would make
    `dewy_proxy_bytes_transferred_bytes_total` of a name that all others leave alone.
    """
    word = WORDS.get(metric.unit or "")
    return replace(metric, unit="") if word in metric.name.split(".") else metric
