"""`dewy assets`."""

from __future__ import annotations

import pytest

from dewy.config import Settings
from tests.cli.conftest import Dewy


@pytest.mark.parametrize("rest", [(), ("--", "left", "over")])
def test_assets_daemon_ignores_trailing_arguments(
    dewy: Dewy, served: list[Settings], rest: tuple[str, ...]
) -> None:
    """Arguments have no meaning here, and were never an error."""
    assert 0 == dewy("assets", "--registry", "mem://x", *rest).status
    assert ("assets", ()) == (served[0].command, served[0].program)


def test_health_path_has_no_effect(dewy: Dewy, served: list[Settings]) -> None:
    """Nothing listens; the original accepts it."""
    ended = dewy("--health-path", "/up", "--registry", "mem://x", "assets")

    assert (0, "") == (ended.status, served[0].health_path)
    assert "no effect with assets: --health-path" in ended.err
