"""`dewy help`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Dewy


@pytest.mark.parametrize("name", ["status", "container list", "help", ""])
def test_help_command_prints_same_text_as_help_option(dewy: Dewy, name: str) -> None:
    words = name.split()
    ended = dewy("help", *words)

    assert (0, dewy(*words, "--help").out) == (ended.status, ended.out)


def test_help_of_an_unknown_command_is_a_mistake(dewy: Dewy) -> None:
    ended = dewy("help", "sttus")

    assert 2 == ended.status
    assert "did you mean status?" in ended.err
