"""`dewy demo`."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tests.cli.conftest import Dewy


@pytest.mark.parametrize("status", [0, 1])
def test_demo_exits_with_status_of_run(
    dewy: Dewy, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """One lost request is a failure."""
    demo = ModuleType("dewy.demo")
    demo.run = lambda: status  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dewy.demo", demo)

    assert status == dewy("demo").status
