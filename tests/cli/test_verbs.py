"""What the commands that change a root share."""

from __future__ import annotations

from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


def test_answer_is_printed(dewy: Dewy, worked: StateFile) -> None:
    """On stdout, and nothing else."""
    ended = dewy("hold")

    assert (0, "") == (ended.status, ended.err)
    assert "held at v2; `dewy unhold` ends it\n" == ended.out


def test_refusal_is_an_error(dewy: Dewy, worked: StateFile) -> None:
    """The state stays as it was."""
    before = worked.read()
    ended = dewy("retry", "v9")

    assert (1, "") == (ended.status, ended.out)
    assert "v9 is not in quarantine" in ended.err
    assert before == worked.read()
