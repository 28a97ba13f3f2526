"""The options of telemetry."""

from __future__ import annotations

import pytest

from dewy.config.settings import ENDPOINT
from dewy.errors import ConfigError


@pytest.mark.parametrize(
    "text", ["", "localhost:4317", "collector_1.example:1", "10.0.0.1:65535", "[::1]:9"]
)
def test_endpoint_is_host_and_port(text: str) -> None:
    assert text == ENDPOINT.read((text,), "--otlp-endpoint")


@pytest.mark.parametrize(
    "text",
    ["localhost", ":4317", "h:0", "h:65536", "https://h:1", "me:hunter2@h:1", "h:1/x"],
)
def test_invalid_otlp_endpoint_error_does_not_show_value(text: str) -> None:
    """It may hold a password; it is told how it should be."""
    with pytest.raises(ConfigError) as caught:
        ENDPOINT.read((text,), "--otlp-endpoint")

    said = str(caught.value)
    assert said.startswith("--otlp-endpoint must be HOST:PORT, such as")
    assert "hunter2" not in said
