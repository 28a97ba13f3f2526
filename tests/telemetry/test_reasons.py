"""Why a collector took nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.needs import found, needs

if found("telemetry"):
    from grpc import StatusCode

    from dewy.telemetry.push import EXPORTERS, Reasons

pytestmark = needs("telemetry")


@pytest.fixture
def reasons() -> Iterator[Reasons]:
    logger = logging.getLogger(EXPORTERS)
    before = logger.handlers[:], logger.propagate, logger.level
    made = Reasons()
    made.begin()
    yield made
    logger.handlers[:], logger.propagate, level = before
    logger.setLevel(level)


def fail(code: StatusCode, details: str) -> None:
    """As the exporters log it."""
    text = "Failed to export %s to %s, error code: %s, error details: %s"
    logging.getLogger(f"{EXPORTERS}.proto.grpc.exporter").error(
        text, "metrics", "collector:4317", code, details
    )


@pytest.mark.parametrize(
    ("code", "details", "said"),
    [
        ("UNAVAILABLE", "…: Connection refused (111)", "connection refused"),
        ("UNAVAILABLE", "DNS resolution failed for x", "could not be resolved"),
        ("UNAVAILABLE", "ssl: WRONG_VERSION_NUMBER", "add --otlp-insecure"),
        ("UNAVAILABLE", "Socket closed", "does it want TLS?"),
        ("UNAVAILABLE", "odd", "could not be reached, or broke"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "did not answer in time"),
        ("UNAUTHENTICATED", "hunter2", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("UNIMPLEMENTED", "", "does not speak OTLP"),
        ("INTERNAL", "hunter2", "it answered INTERNAL"),
    ],
)
def test_reason_is_told_in_dewys_words(
    reasons: Reasons, code: str, details: str, said: str
) -> None:
    fail(StatusCode[code], details)

    assert said in reasons.last
    assert "hunter2" not in reasons.last


def test_lines_without_a_code_say_nothing(reasons: Reasons) -> None:
    fail(StatusCode.INTERNAL, "")
    fail(StatusCode.CANCELLED, "Channel closed!")
    logging.getLogger(EXPORTERS).warning("Shutdown in progress, aborting retry.")
    logging.getLogger(EXPORTERS).warning("%(text)s", {"text": "odd"})

    assert "it answered INTERNAL" == reasons.last
