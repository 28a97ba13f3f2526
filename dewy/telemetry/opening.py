"""Active telemetry: its sources, the text for Prometheus, the push to a collector."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Metric, MetricsData, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from .. import __version__
from ..config import Settings
from ..errors import ConfigError
from ..logs import readable, redactor, summary
from ..system import hostname
from .model import Course, Model, Spans
from .points import MetricSource, collected

if TYPE_CHECKING:
    from .push import Pusher

__all__ = ["Exposition", "Telemetry"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_WHOLE_BOUND = re.compile(rb'(\ble="[0-9]+)\.0"')

UNIT_NAMES = {"By": "bytes", "s": "seconds"}


class Exposition:
    """Prometheus text, made by OpenTelemetry's exporter from data without a meter."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._reader = _Reader(registry=self._registry)
        # The reader needs a provider, and reads it first; it has no metrics.
        self._none = MeterProvider(
            metric_readers=[self._reader], shutdown_on_exit=False
        )

    def text(self, data: MetricsData) -> bytes:
        """Return *data* in the text format, with bounds as Go writes them: `le="1"`."""
        self._reader.take(data)
        return _WHOLE_BOUND.sub(rb'\1"', generate_latest(self._registry))


class _Reader(PrometheusMetricReader):
    def take(self, data: MetricsData) -> None:
        """Let the next collection return *data*."""
        resources = [
            replace(resource, scope_metrics=[*map(_named, resource.scope_metrics)])
            for resource in data.resource_metrics
        ]
        self._receive_metrics(MetricsData(resources))


def _named(scope: ScopeMetrics) -> ScopeMetrics:
    return replace(scope, metrics=[*map(_without_repeated_unit, scope.metrics)])


def _without_repeated_unit(metric: Metric) -> Metric:
    """
    Return *metric*, without its unit if the name contains that already.

    The exporters of other languages do so; Python's would append it again:
    `dewy_proxy_bytes_transferred_bytes_total`.
    """
    word = UNIT_NAMES.get(metric.unit or "")
    return replace(metric, unit="") if word in metric.name.split(".") else metric


class Telemetry:
    """
    Telemetry of a dewy, for scrapers and collectors, while entered.

    Args:
        endpoint: `HOST:PORT` of an OTLP collector to push to, or "".

        insecure: Whether to push without TLS.

        instance: Name of this dewy, unique on the host.
    """

    content_type = CONTENT_TYPE

    def __init__(
        self, endpoint: str = "", *, insecure: bool = False, instance: str = ""
    ) -> None:
        resource = Resource(
            {
                "service.name": "dewy",
                "service.version": __version__,
                "service.instance.id": f"{hostname()}:{instance}",
                "host.name": hostname(),
            }
        )
        self._endpoint = endpoint
        self._insecure = insecure
        self._model = Model(resource)
        self._exposition = Exposition()
        self._spans = Spans(resource)
        self._sources: list[MetricSource] = []
        self._stack = AsyncExitStack()
        self._pusher: Pusher | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Create telemetry from *settings*."""
        return cls(
            settings.otlp_endpoint,
            insecure=settings.otlp_insecure,
            instance=settings.name or readable(settings.root),
        )

    async def __aenter__(self) -> Self:
        if self._endpoint:
            # In this order: the first silences grpcio, which the other imports.
            from ..remotes.grpc import initialise
            from . import push

            initialise()
            try:
                pusher = await asyncio.to_thread(
                    push.Pusher,
                    self._endpoint,
                    insecure=self._insecure,
                    figures=self._figures,
                    spans=self._spans,
                    interval=push.INTERVAL,
                    first=push.FIRST,
                )
            except (OSError, ValueError, RuntimeError) as exc:
                raise ConfigError(f"--otlp-endpoint: {summary(exc)}") from exc
            self._pusher = await self._stack.enter_async_context(pusher)
        return self

    def leave(self, *, hurry: bool = False) -> None:
        """
        Begin the last delivery, if there is a collector; idempotent.

        In a *hurry*, only a collector that took the previous one is waited for.
        """
        if self._pusher is not None:
            self._pusher.leave(hurry=hurry)

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    def watch(self, sources: Iterable[MetricSource]) -> None:
        """Collect from *sources*, too, from now on."""
        self._sources.extend(sources)

    def deployed(self, course: Course) -> None:
        """
        Add the trace of a deployment that is over, if traces are pushed.

        The reason leaves this host, so secrets of the environment are redacted.
        """
        if self._endpoint:
            reason = redactor(os.environ)(course.reason)
            self._spans.add(replace(course, reason=reason))

    async def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return self._exposition.text(await self._figures())

    async def _figures(self) -> MetricsData:
        return self._model.made(await collected(self._sources))
