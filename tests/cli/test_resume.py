"""`dewy resume`."""

from __future__ import annotations

from tests.cli.conftest import Asked, Dewy


def test_dewy_is_asked_and_its_answer_printed(dewy: Dewy, asked: Asked) -> None:
    asked.message = "as you say"
    ended = dewy("resume")

    assert (0, "as you say\n", "") == (ended.status, ended.out, ended.err)
    assert [("resume", {})] == asked.verbs


def test_resume_without_running_dewy_is_an_error(dewy: Dewy) -> None:
    ended = dewy("resume")

    assert 1 == ended.status
    assert "no dewy runs in" in ended.err
