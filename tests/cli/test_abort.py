"""`dewy abort`."""

from __future__ import annotations

from dewy.deploy.state import StateFile
from tests.cli.conftest import Dewy


def test_abort_without_a_dewy_is_refused(dewy: Dewy, worked: StateFile) -> None:
    done = dewy("abort")

    assert (1, "") == (done.status, done.out)
    assert "no dewy runs here" in done.err
