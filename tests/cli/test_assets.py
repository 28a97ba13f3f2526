"""`dewy assets`."""

from __future__ import annotations

import pytest

from dewy.config import Settings
from tests.cli.conftest import Dewy


@pytest.mark.parametrize("rest", [(), ("--", "left", "over")])
def test_daemon_gets_what_was_said(
    dewy: Dewy, served: list[Settings], rest: tuple[str, ...]
) -> None:
    """Arguments have no meaning here, and were never an error."""
    assert 0 == dewy("assets", "--registry", "mem://x", *rest).status
    assert ("assets", ()) == (served[0].command, served[0].program)


def test_health_path_is_refused(dewy: Dewy, served: list[Settings]) -> None:
    """Nothing listens."""
    ended = dewy("--health-path", "/up", "--registry", "mem://x", "assets")

    assert (2, []) == (ended.status, served)
