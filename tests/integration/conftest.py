"""Figures that tests measured, told at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Measured = Callable[[object], None]

measured_lines: list[str] = []


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Takes what the test measured; nothing depends on it."""
    return lambda figures: measured_lines.append(f"{request.node.name}: {figures}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures, for whoever documents them."""
    if measured_lines:
        terminalreporter.section("measured")
        for line in measured_lines:
            terminalreporter.line(line)
