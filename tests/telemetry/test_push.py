"""Telling an OTLP collector."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dewy.telemetry.instruments import INSTRUMENTS, MetricKind
from dewy.telemetry.points import Point
from tests.eventually import eventually
from tests.needs import found, needs

if found("telemetry"):
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource

    from dewy.remotes.grpc import initialise
    from dewy.telemetry import push as module
    from dewy.telemetry.model import Course, Model, Spans, Step
    from dewy.telemetry.push import Pusher
    from tests.standins.certificates import Authority
    from tests.standins.collector import Collector

pytestmark = needs("telemetry")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def spans() -> Spans:
    return Spans(Resource({"service.name": "dewy"}))


@asynccontextmanager
async def pusher(
    collector: Collector, points: list[Point], spans: Spans, **more: Any
) -> AsyncIterator[Pusher]:
    model = Model(Resource({"service.name": "dewy"}))

    async def figures() -> MetricsData:
        return model.made(points)

    usual: dict[str, Any] = {"insecure": True, "interval": 3600.0, "patience": 60.0}
    given = usual | more
    initialise()
    # In a thread, as it may read a certificate.
    made = await asyncio.to_thread(
        Pusher, collector.endpoint, figures=figures, spans=spans, **given
    )
    async with made:
        yield made


def add_course(spans: Spans) -> None:
    step = Step("fetch", 1.0, 2.0)
    spans.add(Course("deploy", "assets", "v1", "", "deployed", "", (step,)))


async def test_every_metric_arrives(
    collector: Collector, points: list[Point], spans: Spans
) -> None:
    """With its unit, its kind and its labels."""
    async with pusher(collector, points, spans) as pushing:
        assert await pushing.push()

    assert "dewy" == collector.resource["service.name"]
    assert INSTRUMENTS.keys() == collector.metrics.keys()
    for name, instrument in INSTRUMENTS.items():
        metric = collector.metrics[name]
        kind = metric.WhichOneof("data")
        assert instrument.unit == metric.unit
        assert (
            kind
            == {
                MetricKind.COUNTER: "sum",
                MetricKind.LEVEL: "sum",
                MetricKind.GAUGE: "gauge",
                MetricKind.HISTOGRAM: "histogram",
            }[instrument.kind]
        )
        (point,) = getattr(metric, kind).data_points
        assert {*instrument.labels} == {each.key for each in point.attributes}
        if kind == "sum":
            assert (instrument.kind is MetricKind.COUNTER) is metric.sum.is_monotonic


async def test_telemetry_is_pushed_periodically_and_on_exit(
    collector: Collector, points: list[Point], spans: Spans
) -> None:
    """And once more in the end."""
    async with pusher(collector, points, spans, interval=0.01):
        await eventually(lambda: collector.pushes >= 3)
        add_course(spans)
    assert ["fetch", "dewy deploy"] == [span.name for span in collector.spans]


async def test_undelivered_telemetry_is_delivered_after_outage(
    collector: Collector,
    points: list[Point],
    spans: Spans,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    One line for the outage and one for its end, whatever the exporters think; also
    where figures are taken and traces are not.
    """
    caplog.set_level(logging.INFO)
    add_course(spans)
    async with pusher(collector, points, spans) as pushing:
        collector.refuses = True
        assert [False] * 3 == [await pushing.push() for _ in range(3)]
        assert [] == collector.spans
        collector.refuses = False
        assert await pushing.push()

        add_course(spans)
        collector.untraced = True
        assert not await pushing.push()
        assert 2 == len(collector.spans)
        collector.untraced = False
        assert await pushing.push()

    assert 4 == len(collector.spans)
    said = [record.message for record in caplog.records]
    reasons = [r.error for r in caplog.records if hasattr(r, "error")]
    assert ["it does not speak OTLP: is the address right?"] * 2 == reasons
    assert [
        "Pushing telemetry",
        *("Telemetry not delivered", "Telemetry is delivered again"),
        *("Telemetry not delivered", "Telemetry is delivered again"),
    ] == said


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]
)
async def test_tls_is_the_rule(
    points: list[Point],
    spans: Spans,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    """By the authorities of the system, or those named as OpenTelemetry has it."""
    authority = Authority(tmp_path)
    with Collector(authority.certify("127.0.0.1")) as collector:
        hasty: dict[str, Any] = {"insecure": False, "patience": 0.5}
        async with pusher(collector, points, spans, **hasty) as pushing:
            assert not await pushing.push()
        assert 0 == collector.pushes
        monkeypatch.setenv(variable, str(authority.cert))
        async with pusher(collector, points, spans, insecure=False) as pushing:
            assert await pushing.push()


async def test_unresponsive_collector_does_not_block_event_loop(
    points: list[Point], spans: Spans
) -> None:
    """One that hangs: deployments go on meanwhile, and the end comes."""
    hanging = Collector()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hanging.endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
        turns = 0
        async with pusher(hanging, points, spans, patience=0.3) as pushing:
            pushed = asyncio.create_task(pushing.push())
            while not pushed.done():
                # That the loop turns meanwhile is what is tested.
                await asyncio.sleep(0.01)
                turns += 1
            assert not pushed.result()
    assert turns > 1


async def test_first_delivery_comes_soon(
    collector: Collector, points: list[Point], spans: Spans
) -> None:
    """However long the others take."""
    async with pusher(collector, points, spans, first=0.01):
        await eventually(lambda: collector.pushes)


@pytest.mark.parametrize("known", [False, True])
async def test_hurry_waits_for_no_collector_that_was_not_proven(
    points: list[Point],
    spans: Spans,
    caplog: pytest.LogCaptureFixture,
    known: bool,
) -> None:
    """Nor for its thread."""
    hanging = Collector()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hanging.endpoint = f"127.0.0.1:{listener.getsockname()[1]}"
        patience = 0.3 if known else 3600.0
        async with pusher(hanging, points, spans, patience=patience) as pushing:
            if known:
                assert not await pushing.push()
            pushing.leave(hurry=True)

    assert "Last telemetry lost" in caplog.text


async def test_hurry_waits_for_a_collector_that_took_the_last_figures(
    collector: Collector,
    points: list[Point],
    spans: Spans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "HURRY", 60.0)
    async with pusher(collector, points, spans) as pushing:
        assert await pushing.push()
        add_course(spans)
        pushing.leave(hurry=True)

    assert ["fetch", "dewy deploy"] == [span.name for span in collector.spans]
