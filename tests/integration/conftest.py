"""Figures that tests measured, told at the end of the run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.standins.container_site import ContainerDewy
from tests.standins.engines import RealEngine, real_engine
from tests.standins.images import Publisher

Measured = Callable[[object], None]

MEASURED = "measured"


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Takes what the test measured; nothing depends on it."""
    told = request.node.user_properties
    return lambda figures: told.append((MEASURED, str(figures)))


@pytest.fixture
async def docker(_swept_at_the_end: None) -> AsyncIterator[RealEngine]:
    """Docker, for what does not differ between engines."""
    async with real_engine("docker") as real:
        yield real


@pytest.fixture
def site(
    docker: RealEngine, publisher: Publisher, tmp_path: Path, unused_tcp_port: int
) -> ContainerDewy:
    """Two replicas in Docker, not started yet."""
    return ContainerDewy(
        tmp_path, unused_tcp_port, engine=docker, publisher=publisher, replicas=2
    )


@pytest.fixture
def container_dewy(
    engine: RealEngine, publisher: Publisher, tmp_path: Path, unused_tcp_port: int
) -> ContainerDewy:
    """Two replicas on each engine in turn, not started yet."""
    return ContainerDewy(
        tmp_path, unused_tcp_port, engine=engine, publisher=publisher, replicas=2
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures, for whoever documents them."""
    reports = [one for many in terminalreporter.stats.values() for one in many]
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {figures}"
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, figures in report.user_properties
        if name == MEASURED
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)
