"""Deployments as traces."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.needs import found, needs

if found("telemetry"):
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import StatusCode

    from dewy.telemetry import model as module
    from dewy.telemetry.model import Course, Spans, Step

pytestmark = needs("telemetry")


@pytest.fixture
def course() -> Course:
    steps = (Step("fetch", 100.0, 102.5), Step("start", 102.5, 103.0))
    return Course("deploy", "server", "v2", "v1", "deployed", "", steps)


@pytest.fixture
def spans() -> Spans:
    return Spans(Resource({"service.name": "dewy"}))


def test_steps_are_within_the_deployment(spans: Spans, course: Course) -> None:
    spans.add(course)

    *steps, whole = spans.take()

    assert ["fetch", "start"] == [span.name for span in steps]
    assert {whole.context.span_id} == {span.parent.span_id for span in steps}
    assert [(100.0, 102.5), (102.5, 103.0)] == [
        (span.start_time / 1e9, span.end_time / 1e9) for span in steps
    ]
    assert (100.0, 103.0) == (whole.start_time / 1e9, whole.end_time / 1e9)
    assert {
        "dewy.command": "server",
        "dewy.version": "v2",
        "dewy.previous": "v1",
        "dewy.outcome": "deployed",
    } == dict(whole.attributes)
    assert {StatusCode.UNSET} == {s.status.status_code for s in (*steps, whole)}
    assert [] == spans.take()


def test_failure_marks_last_step_and_root_span(spans: Spans, course: Course) -> None:
    """By the last step and the whole."""
    spans.add(replace(course, outcome="failed", reason="no database"))

    fetch, start, whole = spans.take()

    assert StatusCode.UNSET is fetch.status.status_code
    for span in (start, whole):
        assert StatusCode.ERROR is span.status.status_code
        assert "no database" == span.status.description


def test_memory_is_bounded(
    spans: Spans, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector may be away for a week; the oldest are lost then."""
    for _ in range(module.MOST):
        spans.add(course)
    kept = spans.take()
    assert module.MOST == len(kept)

    spans.add(course)
    spans.put_back(kept)

    again = spans.take()
    assert module.MOST == len(again)
    assert kept[3:] == again[:-3]
