"""`dewy deploy`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


def test_deploy_is_kept_for_the_next_start(dewy: Dewy, worked: StateFile) -> None:
    """Where no dewy runs."""
    ended = dewy("deploy", "v9", "--registry", "mem://x")
    state = worked.read()

    assert "the next start deploys v9" in ended.out
    assert state is not None
    assert "v9" == state.wanted


def test_deploy_without_a_registry_is_refused(dewy: Dewy, worked: StateFile) -> None:
    """It is a matter of configuration."""
    ended = dewy("deploy", "v9")

    assert 2 == ended.status
    assert "deploy needs a registry" in ended.err


@pytest.mark.parametrize(
    ("text", "told"),
    [("registry = [", "is not TOML: "), ("registry = 5", "must be a string")],
)
def test_deploy_tells_of_a_broken_file_alone(
    dewy: Dewy, worked: StateFile, root: Path, text: str, told: str
) -> None:
    """That there is no registry is a consequence."""
    (root / "dewy.toml").write_text(f"{text}\n")
    ended = dewy("deploy", "v9")

    assert (2, "", 1) == (ended.status, ended.out, ended.err.count("\n"))
    assert "dewy: error: " in ended.err
    assert told in ended.err
