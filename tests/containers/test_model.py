"""What an engine tells, as values."""

from __future__ import annotations

import pytest

from dewy.containers.model import Container


@pytest.mark.parametrize(
    "state",
    ["created", "running", "paused", "restarting", "removing", "exited", "dead"],
)
def test_container_is_running_only_in_running_state(state: str) -> None:
    assert (state == "running") is Container("id", "name", state).running
