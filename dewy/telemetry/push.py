"""Push of metrics and traces to a collector by OTLP over gRPC (opentelemetry.io)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Self, TypedDict, TypeVar

import grpc
from grpc import StatusCode
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import SpanExportResult

from ..remotes.grpc.endpoint import proxy_options, system_roots
from ..threads import DaemonThreads
from .model import Spans

__all__ = ["Pusher", "Reasons"]

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

# Seconds: between deliveries, to the first one, and for each.
INTERVAL = 15.0
FIRST = 1.0
PATIENCE = 5.0
# Seconds that leaving waits: for a collector that fails, and in a hurry.
MOMENT = 1.0
HURRY = 3.0

CERTIFICATES = (
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
)


class _ExporterOptions(TypedDict):
    endpoint: str
    insecure: bool
    credentials: grpc.ChannelCredentials | None
    timeout: float
    channel_options: Any


class Pusher:
    """
    Pusher that delivers at intervals while entered, and once more in the end.

    An outage of the collector is logged once, and delays nothing else.

    Args:
        endpoint: `HOST:PORT`.

        insecure: Whether to push without TLS.

        figures: Returns the metrics to deliver.

        spans: Traces to deliver with them.

        interval: Seconds between deliveries.

        first: Seconds to the first delivery, which shows whether the collector works;
            *interval* by default.

        patience: Deadline in seconds of one delivery, retries included.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        insecure: bool,
        figures: Callable[[], Awaitable[MetricsData]],
        spans: Spans,
        interval: float = INTERVAL,
        first: float | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._endpoint = endpoint
        self._interval = interval
        self._first = interval if first is None else first
        self._patience = patience
        self._figures = figures
        self._spans = spans
        options: _ExporterOptions = {
            "endpoint": endpoint,
            "insecure": insecure,
            "credentials": None if insecure else _credentials(os.environ),
            "timeout": patience,
            "channel_options": proxy_options(endpoint),
        }
        self._metric_exporter = OTLPMetricExporter(**options)
        self._span_exporter = OTLPSpanExporter(**options)
        # Threads that hang must not delay the end of dewy.
        self._threads = DaemonThreads()
        self._reasons = Reasons()
        self._task: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self._until = 0.0
        self._away = self._proven = False

    async def __aenter__(self) -> Self:
        self._reasons.begin()
        self._task = asyncio.create_task(self._run(), name="OTLP")
        log.info("Pushing telemetry", extra={"endpoint": self._endpoint})
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.leave()
        assert self._task is not None
        try:
            async with asyncio.timeout_at(self._until):
                await asyncio.shield(self._task)
        except TimeoutError:
            why = self._reasons.last or "it was not taken at once"
            extra = {"endpoint": self._endpoint, "error": why}
            log.warning("Last telemetry lost", extra=extra)
        finally:
            self._task.cancel()
            await asyncio.wait({self._task})
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    await asyncio.to_thread(self._shut_down)

    def leave(self, *, hurry: bool = False) -> None:
        """
        Begin the last delivery; idempotent.

        In a *hurry*, only a collector that took the previous one is waited for.
        """
        if not self._leaving.is_set():
            now = asyncio.get_running_loop().time()
            self._until = now + self._leave_timeout(hurry=hurry)
            self._leaving.set()

    def _leave_timeout(self, *, hurry: bool) -> float:
        """Return the seconds that leaving may take."""
        if hurry:
            return min(self._patience, HURRY) if self._proven else 0.0
        # A collector that fails already gets a moment, and no more.
        return MOMENT if self._away else self._patience

    async def push(self) -> bool:
        """Deliver metrics and traces; return whether the collector took them."""
        figures = await self._figures()
        sent = await self._in_thread(self._metric_exporter.export, figures)
        taken = sent is MetricExportResult.SUCCESS and await self._push_spans()
        self._log_change(taken)
        return taken

    async def _push_spans(self) -> bool:
        spans = self._spans.take()
        if not spans:
            return True
        sent = await self._in_thread(self._span_exporter.export, spans)
        if sent is SpanExportResult.SUCCESS:
            return True
        self._spans.put_back(spans)
        return False

    async def _in_thread(self, export: Callable[[T], R], data: T) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, export, data)

    async def _run(self) -> None:
        await self._rest(self._first)
        while not self._leaving.is_set():
            await self._push_safely()
            await self._rest(self._interval)
        # A delivery under way is not cancelled: the spans it has taken would be lost.
        await self._push_safely()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leaving.wait()

    async def _push_safely(self) -> None:
        try:
            await self.push()
        except Exception:
            log.exception("Pushing telemetry ran into a fault")

    def _log_change(self, taken: bool) -> None:
        extra = {"endpoint": self._endpoint}
        if not taken and not self._away:
            why = self._reasons.last or "no reason was given"
            log.warning("Telemetry not delivered", extra={**extra, "error": why})
        elif taken and self._away:
            log.info("Telemetry is delivered again", extra=extra)
        self._away, self._proven = not taken, taken

    def _shut_down(self) -> None:
        self._metric_exporter.shutdown()
        self._span_exporter.shutdown()
        self._threads.shutdown(wait=False)


def _credentials(environ: Mapping[str, str]) -> grpc.ChannelCredentials | None:
    """Return credentials with the system's roots; None if a variable names others."""
    if any(name in environ for name in CERTIFICATES):
        return None
    return grpc.ssl_channel_credentials(system_roots())


EXPORTERS = "opentelemetry.exporter.otlp"

_ANSWERS = {
    StatusCode.UNAVAILABLE: "it could not be reached, or broke off the connection",
    StatusCode.DEADLINE_EXCEEDED: "it did not answer in time",
    StatusCode.UNAUTHENTICATED: (
        "it does not recognise dewy: check OTEL_EXPORTER_OTLP_HEADERS"
    ),
    StatusCode.PERMISSION_DENIED: (
        "it refuses access: check OTEL_EXPORTER_OTLP_HEADERS"
    ),
    StatusCode.UNIMPLEMENTED: "it does not speak OTLP: is the address right?",
    StatusCode.RESOURCE_EXHAUSTED: "its limit of size or rate was exceeded",
}
# Signs in gRPC's details of a failed connection; the first that is found decides.
_SIGNS = (
    ("HTTP proxy returned", "the proxy does not connect to it: check HTTPS_PROXY"),
    (
        "WRONG_VERSION_NUMBER",
        "it does not speak TLS: add --otlp-insecure if that is intended",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
    ("certificate signature failure", "its certificate is not trusted"),
    ("Hostname Verification", "its certificate has another name"),
    ("handshake", "its TLS handshake failed"),
    ("refused", "connection refused"),
    ("unreachable", "no route to it"),
    ("lookup", "its name could not be resolved"),
    ("resol", "its name could not be resolved"),
    ("timed out", "it could not be reached in time"),
    ("timeout", "it could not be reached in time"),
    ("closed", "it closed the connection: does it want TLS?"),
)


class Reasons(logging.Handler):
    """
    Handler that keeps the reason from the exporters' log, and prints nothing.

    The exporters return only that they failed, and log each failure in several lines.

    Attributes:
        last: The last reason, in dewy's words, or "".
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def begin(self) -> None:
        """Take over the exporters' log, from an earlier handler, too."""
        logger = logging.getLogger(EXPORTERS)
        logger.handlers[:] = [self]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        # Their filter of duplicates could hide a new reason.
        logging.getLogger(f"{EXPORTERS}.proto.grpc.exporter").filters.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason in *record*, if there is one."""
        args = record.args if isinstance(record.args, tuple) else ()
        code = next((each for each in args if isinstance(each, StatusCode)), None)
        # dewy itself cancels calls.
        if code is not None and code is not StatusCode.CANCELLED:
            self.last = _reason(code, str(args[-1]))


def _reason(code: StatusCode, details: str) -> str:
    if code is StatusCode.UNAVAILABLE:
        found = (means for sign, means in _SIGNS if sign.lower() in details.lower())
        return next(found, _ANSWERS[code])
    # A server's own words are never quoted: they may contain anything.
    return _ANSWERS.get(code, f"it answered {code.name}")
