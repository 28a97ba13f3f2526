"""`dewy rollback`."""

from __future__ import annotations

import pytest

from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


@pytest.mark.parametrize("words", [(), ("v1",)])
def test_rollback_goes_back(
    dewy: Dewy, worked: StateFile, words: tuple[str, ...]
) -> None:
    """To the previous release, or to the one that is named."""
    assert "rolled back to v1" in dewy("rollback", *words).out
    state = worked.read()
    assert state is not None
    assert state.running is not None
    assert "v1" == state.running.tag


def test_unknown_version_lists_the_kept_ones(dewy: Dewy, worked: StateFile) -> None:
    """These can be named."""
    ended = dewy("rollback", "v9")

    assert 1 == ended.status
    assert "kept: v1" in ended.err
