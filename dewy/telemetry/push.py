"""Push of figures and traces to an OTLP collector, over gRPC."""

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

INTERVAL = 15.0
FIRST = 1.0
PATIENCE = 5.0
MOMENT = 1.0
HURRY = 3.0

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
    channel_options: Any


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

        first: Seconds to the first one, which shows whether the collector is there;
            by default as many.

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
        first: float | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._endpoint = endpoint
        self._interval = interval
        self._first = interval if first is None else first
        self._patience = patience
        self._figures = figures
        self._spans = spans
        how: _How = {
            "endpoint": endpoint,
            "insecure": insecure,
            "credentials": None if insecure else _credentials(os.environ),
            "timeout": patience,
            "channel_options": proxy_options(endpoint),
        }
        self._metric_exporter = OTLPMetricExporter(**how)
        self._span_exporter = OTLPSpanExporter(**how)
        # Its threads may hang, and are not waited for.
        self._threads = DaemonThreads()
        self._reasons = Reasons()
        self._task: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self._until = 0.0
        self._away = self._proven = False

    async def __aenter__(self) -> Self:
        self._reasons.begin()
        self._task = asyncio.create_task(self._on_and_on(), name="OTLP")
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
            told = {"endpoint": self._endpoint, "error": why}
            log.warning("Last telemetry lost", extra=told)
        finally:
            self._task.cancel()
            await asyncio.wait({self._task})
            with suppress(TimeoutError):
                async with asyncio.timeout(MOMENT):
                    await asyncio.to_thread(self._shut)

    def leave(self, *, hurry: bool = False) -> None:
        """
        Begin the last delivery; idempotent.

        In a *hurry* only a collector that took the one before is waited for.
        """
        if not self._leaving.is_set():
            now = asyncio.get_running_loop().time()
            self._until = now + self._left(hurry=hurry)
            self._leaving.set()

    def _left(self, *, hurry: bool) -> float:
        """Return the seconds that leaving waits at most."""
        if hurry:
            return min(self._patience, HURRY) if self._proven else 0.0
        # A collector that is away already is given a moment, and no more.
        return MOMENT if self._away else self._patience

    async def push(self) -> bool:
        """Deliver the present data; return whether it was taken."""
        figures = await self._figures()
        sent = await self._in_thread(self._metric_exporter.export, figures)
        taken = sent is MetricExportResult.SUCCESS and await self._push_spans()
        self._say(taken)
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

    async def _on_and_on(self) -> None:
        await self._rest(self._first)
        while not self._leaving.is_set():
            await self._push_safely()
            await self._rest(self._interval)
        # None is broken off for the last one: what it has taken would be lost.
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

    def _say(self, taken: bool) -> None:
        told = {"endpoint": self._endpoint}
        if not taken and not self._away:
            why = self._reasons.last or "no reason was given"
            log.warning("Telemetry not delivered", extra={**told, "error": why})
        elif taken and self._away:
            log.info("Telemetry is delivered again", extra=told)
        self._away, self._proven = not taken, taken

    def _shut(self) -> None:
        self._metric_exporter.shutdown()
        self._span_exporter.shutdown()
        self._threads.shutdown(wait=False)


def _credentials(environ: Mapping[str, str]) -> grpc.ChannelCredentials | None:
    """
    Return credentials by the system's roots; None if OpenTelemetry's variables rule.
    """
    if any(name in environ for name in OTHERS):
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
    StatusCode.RESOURCE_EXHAUSTED: "it gets too much, or too often",
}
# Of the C core's own words about a connection that could not be made, in this order.
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
    Handler in the place of those that would log each failure, with several lines.

    The exporters return that they failed, and why only in their log.

    Attributes:
        last: The last reason in dewy's words, or "".
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def begin(self) -> None:
        """Take over the exporters' log; the last one that did has it."""
        logger = logging.getLogger(EXPORTERS)
        logger.handlers[:] = [self]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        # Their filter against repetitions would hide a reason that is new.
        logging.getLogger(f"{EXPORTERS}.proto.grpc.exporter").filters.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason that is in *record*, if there is one."""
        args = record.args if isinstance(record.args, tuple) else ()
        code = next((each for each in args if isinstance(each, StatusCode)), None)
        # A call that was cancelled is one that dewy itself gave up.
        if code is not None and code is not StatusCode.CANCELLED:
            self.last = _reason(code, str(args[-1]))


def _reason(code: StatusCode, details: str) -> str:
    if code is StatusCode.UNAVAILABLE:
        found = (means for sign, means in _SIGNS if sign.lower() in details.lower())
        return next(found, _ANSWERS[code])
    # What a server says is never quoted.
    return _ANSWERS.get(code, f"it answered {code.name}")
