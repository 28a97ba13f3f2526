"""`dewy hold`."""

from __future__ import annotations

from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


def test_hold_survives_until_unhold(dewy: Dewy, worked: StateFile) -> None:
    """It is written down, so a restart does not end it."""
    assert 0 == dewy("hold").status
    state = worked.read()
    assert state is not None
    assert state.hold
