"""Points as OpenTelemetry has them."""

from __future__ import annotations

import pytest

from tests.needs import found, needs

if found("telemetry"):
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
    from opentelemetry.sdk.resources import Resource

    from dewy.telemetry.model import Model

from dewy.histogram import Histogram
from dewy.telemetry.instruments import INSTRUMENTS
from dewy.telemetry.points import Point

pytestmark = needs("telemetry")


def test_every_point_keeps_its_name_unit_and_labels(points: list[Point]) -> None:
    data = Model(Resource({"service.name": "dewy"})).made(points)

    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    assert "github.com/linyows/dewy" == scope.scope.name
    assert {name: each.unit for name, each in INSTRUMENTS.items()} == {
        metric.name: metric.unit for metric in scope.metrics
    }
    for metric in scope.metrics:
        (point,) = metric.data.data_points
        labels = INSTRUMENTS[metric.name].labels
        assert dict(zip(labels, labels, strict=True)) == point.attributes


def test_histogram_is_exported_without_min_and_max() -> None:
    """Its least and greatest value nobody counted, so they are left out."""
    counted = Histogram((1.0, 5.0), (2, 0, 3), 40.5)
    data = Model(Resource({})).made(
        [Point("dewy.deployment.duration", counted, ("server",))]
    )
    scope = encode_metrics(data).resource_metrics[0].scope_metrics[0]
    (point,) = scope.metrics[0].histogram.data_points

    assert ([1.0, 5.0], [2, 0, 3]) == (point.explicit_bounds, point.bucket_counts)
    assert (5, 40.5) == (point.count, point.sum)
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_point_of_no_instrument_is_a_fault() -> None:
    """It would be in no documentation."""
    with pytest.raises(KeyError, match="secret"):
        Model(Resource({})).made([Point("dewy.secret", 1)])


def test_point_has_all_labels_of_its_instrument() -> None:
    with pytest.raises(ValueError, match="zip"):
        Model(Resource({})).made([Point("dewy.deployments.total", 1)])
