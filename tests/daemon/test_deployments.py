"""Deployments, counted and told as they end."""

from __future__ import annotations

import pytest

from dewy.deploy.changes import Attempt
from dewy.histogram import Histogram
from dewy.system import Clock
from tests.needs import found, needs

if found("telemetry"):
    from dewy.daemon.measuring import Deployments
    from dewy.telemetry.model import Course

pytestmark = needs("telemetry")

CLOCK = Clock(wall=lambda: 1000.0, monotonic=lambda: 50.0)


def ended(outcome: str, action: str = "deploy", previous: str = "v1") -> Attempt:
    attempt = Attempt("v2", previous, action, 10.0)
    attempt.marks[:] = [("fetch", 10.0), ("before-hook", 30.0), ("start", 44.0)]
    attempt.outcome = outcome
    return attempt


@pytest.fixture
def told() -> list[Course]:
    return []


def counted(deployments: Deployments) -> dict[tuple[str, ...], object]:
    return {(each.name, *each.labels): each.value for each in deployments.read()}


def test_deployments_are_counted_by_outcome(told: list[Course]) -> None:
    """Going back is no deployment, whoever went."""
    deployments = Deployments("server", CLOCK, told.append)
    for outcome in ("deployed", "deployed", "failed", "rolled back"):
        deployments.recorded(ended(outcome))
    deployments.recorded(ended("deployed", "rollback"))
    deployments.recorded(ended("deployed", previous=""))

    found = counted(deployments)

    assert 3 == found["dewy.deployments.total", "server"]
    assert 1 == found["dewy.deployment.errors.total", "server"]
    assert 1 == found["dewy.rollbacks.total", "server", "probation"]
    assert 1 == found["dewy.rollbacks.total", "server", "operator"]
    # The first one restarted nothing.
    assert 3 == deployments.again


@pytest.mark.parametrize(("command", "seconds"), [("assets", 40), ("container", 20)])
def test_pulling_an_image_does_not_count(
    told: list[Course], command: str, seconds: float
) -> None:
    """As with the original."""
    deployments = Deployments(command, CLOCK, told.append)
    deployments.recorded(ended("deployed"))

    duration = counted(deployments)["dewy.deployment.duration", command]

    assert isinstance(duration, Histogram)
    assert seconds == duration.total


def test_course_is_told_by_the_wall_clock(told: list[Course]) -> None:
    """What is done is no step."""
    attempt = ended("deployed")
    attempt.marks += [("done", 45.0), ("after-hook", 46.0)]
    Deployments("server", CLOCK, told.append).over(attempt)

    (course,) = told
    assert ("deploy", "server", "v2", "v1") == (
        course.action,
        course.command,
        course.version,
        course.previous,
    )
    assert [
        ("fetch", 960.0, 980.0),
        ("before-hook", 980.0, 994.0),
        ("start", 994.0, 995.0),
        ("after-hook", 996.0, 1000.0),
    ] == [(step.name, step.begun, step.ended) for step in course.steps]
