"""`dewy reload`."""

from __future__ import annotations

from tests.cli.conftest import Asked, Dewy


def test_dewy_is_asked_and_its_answer_printed(dewy: Dewy, asked: Asked) -> None:
    asked.message = "as you say"
    ended = dewy("reload")

    assert (0, "as you say\n", "") == (ended.status, ended.out, ended.err)
    assert [("reload", {})] == asked.verbs


def test_reload_without_running_dewy_is_an_error(dewy: Dewy) -> None:
    ended = dewy("reload")

    assert 1 == ended.status
    assert "no dewy runs in" in ended.err


def test_dry_run_is_asked_for(dewy: Dewy, asked: Asked) -> None:
    dewy("reload", "--dry-run")

    assert [("reload", {"dry": True})] == asked.verbs
