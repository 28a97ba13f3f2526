"""`dewy retry`."""

from __future__ import annotations

from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


def test_retry_lets_a_version_out(dewy: Dewy, worked: StateFile) -> None:
    """What failed with traffic on it waits for this."""
    assert "v3 is out of quarantine" in dewy("retry", "v3").out
    state = worked.read()
    assert state is not None
    assert [] == list(state.quarantine)
