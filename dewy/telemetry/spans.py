"""Deployments as traces: a span for each, and a child span for each of its steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Status, StatusCode

from .. import __version__
from .model import SCOPE

__all__ = ["Course", "Spans", "Step"]

MOST = 512
"""Maximum of spans kept while no collector takes them; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    Step of a deployment.

    Attributes:
        name: `fetch`, `unpack` …

        begun, ended: Seconds since the epoch.
    """

    name: str
    begun: float
    ended: float


@dataclass(frozen=True, slots=True)
class Course:
    """
    Course of a deployment.

    Attributes:
        action: `deploy` or `rollback`.

        command, version, previous: Command, new version, and version before.

        outcome: `deployed`, `failed` or `rolled back`.

        reason: Reason in one line, or "".

        steps: Steps in their order, at least one.
    """

    action: str
    command: str
    version: str
    previous: str
    outcome: str
    reason: str
    steps: tuple[Step, ...]


class Spans:
    """Spans of deployments that are over, kept until they are taken."""

    def __init__(self, resource: Resource) -> None:
        self._kept: deque[ReadableSpan] = deque(maxlen=MOST)
        provider = TracerProvider(
            resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False
        )
        provider.add_span_processor(_Keeping(self._kept))
        self._tracer = provider.get_tracer(SCOPE, __version__)

    def add(self, course: Course) -> None:
        """Add a deployment that is over."""
        whole = self._tracer.start_span(
            f"dewy {course.action}",
            start_time=_nanoseconds(course.steps[0].begun),
            attributes={
                "dewy.command": course.command,
                "dewy.version": course.version,
                "dewy.previous": course.previous,
                "dewy.outcome": course.outcome,
            },
        )
        good, within = course.outcome == "deployed", trace.set_span_in_context(whole)
        for step in course.steps:
            span = self._tracer.start_span(
                step.name, within, start_time=_nanoseconds(step.begun)
            )
            if step is course.steps[-1] and not good:
                span.set_status(Status(StatusCode.ERROR, course.reason))
            span.end(_nanoseconds(step.ended))
        if not good:
            whole.set_status(Status(StatusCode.ERROR, course.reason))
        whole.end(_nanoseconds(course.steps[-1].ended))

    def take(self) -> list[ReadableSpan]:
        """Return the spans not taken yet."""
        taken = list(self._kept)
        self._kept.clear()
        return taken

    def put_back(self, spans: Sequence[ReadableSpan]) -> None:
        """
        Put undelivered spans back; the oldest are dropped for lack of room.
        """
        room = MOST - len(self._kept)
        self._kept.extendleft(reversed(spans[max(len(spans) - room, 0) :]))


class _Keeping(SpanProcessor):
    def __init__(self, kept: deque[ReadableSpan]) -> None:
        self._kept = kept

    def on_end(self, span: ReadableSpan) -> None:
        self._kept.append(span)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
