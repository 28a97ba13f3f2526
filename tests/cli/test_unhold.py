"""`dewy unhold`."""

from __future__ import annotations

from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


def test_unhold_ends_a_hold(dewy: Dewy, worked: StateFile) -> None:
    """And is no error without one."""
    dewy("hold")

    assert "no longer held" in dewy("unhold").out
    state = worked.read()
    assert state is not None
    assert not state.hold
    assert "was not held\n" == dewy("unhold").out
