"""An OTLP collector on loopback: the real protocol, which keeps what it is told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2 as metrics,
)
from opentelemetry.proto.collector.metrics.v1 import (
    metrics_service_pb2_grpc as metrics_grpc,
)
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2 as traces,
)
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2_grpc as traces_grpc,
)

import dewy.remotes.grpc  # noqa: F401 -- before grpcio
from tests.standins.certificates import Pair


class Collector(metrics_grpc.MetricsServiceServicer, traces_grpc.TraceServiceServicer):
    """
    Serves while entered.

    Attributes:
        refuses: Whether it answers UNIMPLEMENTED, which is worth no second try.

        untraced: Whether it does so to traces alone.

        metrics: By name, as they were told last.

        resource: The attributes of whoever told them.

        spans: All that came.

        pushes: How often figures came.
    """

    def __init__(self, certificate: Pair | None = None) -> None:
        self.refuses = self.untraced = False
        self.metrics: dict[str, Any] = {}
        self.resource: dict[str, str] = {}
        self.spans: list[Any] = []
        self.pushes = 0
        self._certificate = certificate

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(2))
        metrics_grpc.add_MetricsServiceServicer_to_server(self, self._server)
        traces_grpc.add_TraceServiceServicer_to_server(self, self._server)
        if self._certificate is None:
            port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            pair = self._certificate
            both = (Path(pair.key).read_bytes(), Path(pair.cert).read_bytes())
            credentials = grpc.ssl_server_credentials([both])
            port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.endpoint = f"127.0.0.1:{port}"
        self._server.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.stop(None).wait()

    def Export(self, request: Any, context: Any) -> Any:
        traced = isinstance(request, traces.ExportTraceServiceRequest)
        if self.refuses or (traced and self.untraced):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "not today")
        if traced:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
            return traces.ExportTraceServiceResponse()
        self.pushes += 1
        for resource in request.resource_metrics:
            attributes = resource.resource.attributes
            self.resource = {each.key: each.value.string_value for each in attributes}
            for scope in resource.scope_metrics:
                self.metrics |= {metric.name: metric for metric in scope.metrics}
        return metrics.ExportMetricsServiceResponse()
