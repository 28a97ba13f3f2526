"""Figures as Prometheus reads them: the names are those of the original."""

from __future__ import annotations

import pytest

from dewy.telemetry.instruments import INSTRUMENTS
from dewy.telemetry.points import Point
from tests.needs import found, needs

if found("telemetry"):
    from opentelemetry.sdk.resources import Resource

    from dewy.telemetry.model import Model
    from dewy.telemetry.opening import Exposition
    from tests.standins.scrapes import Scrape, Series, names, parsed, value

pytestmark = needs("telemetry")

REPLICA = ("app", "container", "replica")
ORIGINAL = {
    "dewy_proxy_connections_total": ("proxy_port",),
    "dewy_proxy_connections_active": ("proxy_port",),
    "dewy_proxy_connection_duration_seconds_count": ("proxy_port",),
    "dewy_proxy_connection_duration_seconds_sum": ("proxy_port",),
    "dewy_proxy_connection_duration_seconds_bucket": ("proxy_port", "le"),
    "dewy_proxy_connect_latency_seconds_count": ("proxy_port",),
    "dewy_proxy_connect_latency_seconds_sum": ("proxy_port",),
    "dewy_proxy_connect_latency_seconds_bucket": ("proxy_port", "le"),
    "dewy_proxy_bytes_transferred_total": ("proxy_port",),
    "dewy_proxy_errors_total": ("proxy_port",),
    "dewy_proxy_backends": ("proxy_port",),
    "dewy_deployments_total": ("command",),
    "dewy_deployment_duration_seconds_count": ("command",),
    "dewy_deployment_duration_seconds_sum": ("command",),
    "dewy_deployment_duration_seconds_bucket": ("command", "le"),
    "dewy_deployment_errors_total": ("command",),
    "dewy_healthchecks_total": (),
    "dewy_healthchecks_failures_total": (),
    "dewy_server_restarts_total": ("reason",),
    "dewy_container_replicas": ("app",),
    "dewy_container_desired_replicas": ("app",),
    "dewy_container_restarts": REPLICA,
    "dewy_container_status": (*REPLICA, "state"),
    "dewy_container_last_terminated_exit_code": REPLICA,
    "dewy_container_oom_killed": REPLICA,
    "dewy_container_started_timestamp_seconds": REPLICA,
    "dewy_container_info": (*REPLICA, "image", "version"),
}


@pytest.fixture
def scrape(points: list[Point]) -> Scrape:
    model = Model(Resource({"service.name": "dewy", "service.version": "9"}))
    return parsed(Exposition().text(model.made(points)))


@pytest.mark.parametrize("name", ORIGINAL)
def test_metric_of_the_original_is_there(scrape: Scrape, name: str) -> None:
    """With exactly its labels, and those of the scope, which `parsed` looks for."""
    found = [series for series in scrape if series.name == name]

    assert found
    for series in found:
        assert {*ORIGINAL[name]} == {label for label, _ in series.labels}


def test_every_instrument_is_told(scrape: Scrape) -> None:
    """Under the name OpenTelemetry's translation gives it, with no unit said twice."""
    families = {name.removesuffix("_count") for name in names(scrape)}
    for name in INSTRUMENTS:
        stem = name.replace(".", "_")
        forms = (stem, f"{stem}_total", f"{stem}_seconds")
        assert families & {*forms}, name
    assert {"dewy_download_bytes_total", "dewy_proxy_backend_bytes_total"} <= families


def test_buckets_are_cumulated(scrape: Scrape) -> None:
    """As Prometheus has them: 0.3 and 2 seconds."""
    buckets = {
        dict(series.labels)["le"]: count
        for series, count in scrape.items()
        if series.name == "dewy_proxy_connect_latency_seconds_bucket"
    }
    port = {"proxy_port": "proxy_port"}

    assert 0 == buckets["0.25"]
    assert (1, 2) == (buckets["0.5"], buckets["5"])
    assert 2 == buckets["+Inf"]
    count = value(scrape, "dewy_proxy_connect_latency_seconds_count", **port)
    total = value(scrape, "dewy_proxy_connect_latency_seconds_sum", **port)
    assert (2, 2.3) == (count, total)


def test_target_is_told(scrape: Scrape) -> None:
    """As the original does, for joins."""
    labels = {("service_name", "dewy"), ("service_version", "9")}

    assert 1 == scrape[Series("target_info", frozenset(labels))]


def test_series_that_is_gone_is_not_told_again(points: list[Point]) -> None:
    """Nothing grows with the replicas there ever were."""
    model, exposition = Model(Resource({})), Exposition()
    exposition.text(model.made(points))

    after = parsed(exposition.text(model.made([Point("dewy.held", 1)])))

    assert {"dewy_held", "target_info"} >= names(after)
    assert 1 == value(after, "dewy_held")


def test_bounds_are_written_as_the_original_does(points: list[Point]) -> None:
    """Dashboards ask for `le="1"`, and the scope has no version."""
    model = Model(Resource({"service.name": "dewy", "service.version": "9"}))
    text = Exposition().text(model.made(points)).decode()

    assert 'le="1"' in text
    assert 'le="0.5"' in text
    assert '.0"' not in text
    assert 'otel_scope_version=""' in text
