"""Push of figures and traces to an OTLP collector, over gRPC."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Self, TypedDict

import grpc
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import SpanExportResult

from ..remotes.grpc.endpoint import system_roots
from .spans import Spans

__all__ = ["Pusher"]

log = logging.getLogger(__name__)

INTERVAL = 15.0
PATIENCE = 5.0
MOMENT = 1.0

OTHERS = (
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
)


class _How(TypedDict):
    endpoint: str
    insecure: bool
    credentials: grpc.ChannelCredentials | None
    timeout: float


class Pusher:
    """
    Pusher that delivers at intervals while entered, and once more in the end.

    A collector that is away is logged once; nothing waits for it.

    Args:
        endpoint: `HOST:PORT`.

        insecure: Whether to use no TLS.

        figures: Returns the data to deliver.

        spans: Traces to be delivered with them.

        interval: Seconds from one delivery to the next.

        patience: Seconds that one delivery may take, retries included.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        insecure: bool,
        figures: Callable[[], Awaitable[MetricsData]],
        spans: Spans,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
    ) -> None:
        self._endpoint = endpoint
        self._interval = interval
        self._patience = patience
        self._figures = figures
        self._spans = spans
        how: _How = {
            "endpoint": endpoint,
            "insecure": insecure,
            "credentials": None if insecure else _credentials(os.environ),
            "timeout": patience,
        }
        self._metric_exporter = OTLPMetricExporter(**how)
        self._span_exporter = OTLPSpanExporter(**how)
        self._task: asyncio.Task[None] | None = None
        self._away = False

    async def __aenter__(self) -> Self:
        # The exporters log every failure in a row, with more than one line; dewy logs
        # once.
        logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)
        self._task = asyncio.create_task(self._on_and_on(), name="OTLP")
        log.info("Pushing telemetry", extra={"endpoint": self._endpoint})
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        try:
            # A collector that is away already is given a moment, and no more.
            async with asyncio.timeout(MOMENT if self._away else self._patience):
                await self.push()
        except TimeoutError:
            log.warning("Last telemetry lost", extra={"endpoint": self._endpoint})
        finally:
            await asyncio.to_thread(self._shut)

    async def push(self) -> bool:
        """Deliver the present data; return whether it was taken."""
        figures = await self._figures()
        sent = await asyncio.to_thread(self._metric_exporter.export, figures)
        taken = sent is MetricExportResult.SUCCESS and await self._push_spans()
        self._say(taken)
        return taken

    async def _push_spans(self) -> bool:
        spans = self._spans.take()
        if not spans:
            return True
        sent = await asyncio.to_thread(self._span_exporter.export, spans)
        if sent is SpanExportResult.SUCCESS:
            return True
        self._spans.put_back(spans)
        return False

    async def _on_and_on(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.push()
            except Exception:
                log.exception("Pushing telemetry ran into a fault")

    def _say(self, taken: bool) -> None:
        told = {"endpoint": self._endpoint}
        if not taken and not self._away:
            log.warning("Telemetry not delivered", extra=told)
        elif taken and self._away:
            log.info("Telemetry is delivered again", extra=told)
        self._away = not taken

    def _shut(self) -> None:
        self._metric_exporter.shutdown(timeout_millis=1000)
        self._span_exporter.shutdown()


def _credentials(environ: Mapping[str, str]) -> grpc.ChannelCredentials | None:
    """
    Return credentials by the system's roots; None if OpenTelemetry's variables rule.
    """
    if any(name in environ for name in OTHERS):
        return None
    return grpc.ssl_channel_credentials(system_roots())
