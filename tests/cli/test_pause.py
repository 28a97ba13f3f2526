"""`dewy pause`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Asked, Dewy


@pytest.mark.parametrize(
    ("words", "seconds"), [((), None), (("--for", "90s"), 90.0), (("--for=2m",), 120.0)]
)
def test_dewy_is_asked_to_pause(
    dewy: Dewy, asked: Asked, words: tuple[str, ...], seconds: float | None
) -> None:
    ended = dewy("pause", *words)

    assert (0, "done\n", "") == (ended.status, ended.out, ended.err)
    assert [("pause", {"seconds": seconds})] == asked.verbs


def test_time_that_is_none_is_refused(dewy: Dewy, asked: Asked) -> None:
    ended = dewy("pause", "--for", "soon")

    assert 2 == ended.status
    assert "--for 'soon' must be a time" in ended.err
    assert [] == asked.verbs


def test_without_a_dewy_it_is_an_error(dewy: Dewy) -> None:
    ended = dewy("pause")

    assert 1 == ended.status
    assert "no dewy runs in" in ended.err
