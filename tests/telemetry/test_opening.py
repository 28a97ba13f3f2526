"""Telemetry that is on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from dewy.config import Settings
from dewy.telemetry import load
from dewy.telemetry.points import MetricSource, Point
from tests.needs import found, needs

if found("telemetry"):
    from dewy.telemetry.model import Course, Step
    from dewy.telemetry.opening import Telemetry
    from tests.standins.collector import Collector
    from tests.standins.scrapes import parsed, value

pytestmark = needs("telemetry")

COURSE: Any = None


async def opened(**given: Any) -> Telemetry:
    """In a thread, as it is made where it is used."""
    root = Path("/srv/app")
    settings = Settings(command="server", root=root, cache_dir=root, **given)
    telemetry = await asyncio.to_thread(load, settings)
    assert telemetry is not None
    return telemetry


async def test_all_sources_are_asked() -> None:
    """Whenever somebody asks, anew."""
    held = 0
    async with await opened(telemetry=True) as telemetry:
        telemetry.watch([MetricSource(lambda: [Point("dewy.held", held)])])
        telemetry.watch([MetricSource(lambda: [Point("dewy.release.up", 1)])])
        before = parsed(await telemetry.text())
        held = 1
        after = parsed(await telemetry.text())

    assert (0, 1) == (value(before, "dewy_held"), value(after, "dewy_held"))
    assert 1 == value(before, "dewy_release_up")


@pytest.mark.parametrize("name", ["", "shop"])
async def test_collector_is_told_in_the_end(name: str) -> None:
    """By whom: dewys of one host are told apart by their names or roots."""
    step = Step("fetch", 1.0, 2.0)
    course = Course("deploy", "server", "v1", "", "deployed", "", (step,))
    with Collector() as collector:
        endpoint = {"otlp_endpoint": collector.endpoint, "otlp_insecure": True}
        told = {"name": name, **endpoint}
        async with await opened(**told) as telemetry:
            telemetry.watch([MetricSource(lambda: [Point("dewy.held", 1)])])
            telemetry.deployed(course)

    assert {"dewy.held"} == collector.metrics.keys()
    assert ["fetch", "dewy deploy"] == [span.name for span in collector.spans]
    host, _, instance = collector.resource["service.instance.id"].partition(":")
    assert collector.resource["host.name"] == host
    assert instance == (name or "/srv/app")


async def test_reason_is_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is logged."""
    monkeypatch.setenv("GITHUB_TOKEN", "hunter2-and-more")
    step, why = Step("fetch", 1.0, 2.0), "401 for hunter2-and-more"
    course = Course("deploy", "server", "v1", "", "failed", why, (step,))
    with Collector() as collector:
        told = {"otlp_endpoint": collector.endpoint, "otlp_insecure": True}
        async with await opened(**told) as telemetry:
            telemetry.deployed(course)

    assert {"401 for ***"} == {span.status.message for span in collector.spans}


async def test_without_a_collector_no_trace_is_kept() -> None:
    async with await opened(telemetry=True) as telemetry:
        telemetry.deployed(COURSE)
