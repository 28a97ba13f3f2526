"""Versions whose order is not the one their names suggest."""

from __future__ import annotations

import pytest

from dewy.versions import Rules, order, surprises


def told(*names: str, slot: bool = False) -> tuple[str, ...]:
    return surprises(order(names, Rules(pre_release=True)).versions, slot=slot)


def test_numbers_glued_to_letters_are_told() -> None:
    (text,) = told("v1.0.0-rc9", "v1.0.0-rc10")

    assert (
        "v1.0.0-rc9 counts as newer than v1.0.0-rc10: identifiers with letters are "
        "compared as text; rc.9 and rc.10 are not"
    ) == text


@pytest.mark.parametrize("word", ["rc-", "beta.rc"])
def test_numbers_glued_to_any_word_are_told(word: str) -> None:
    (text,) = told(f"v1.0.0-{word}9", f"v1.0.0-{word}10")

    assert text.endswith(
        "identifiers with letters are compared as text; rc.9 and rc.10 are not"
    )


def test_suffix_of_a_packager_is_told() -> None:
    (text,) = told("4.0.1-ls101", "4.0.1-ls99", "3.9.0-ls98")

    assert text.startswith("4.0.1-ls99 counts as newer than 4.0.1-ls101")


def test_build_metadata_is_reported_unless_used_as_slot() -> None:
    (text,) = told("v1.0.0+2", "v1.0.0+10")

    assert text.startswith("v1.0.0+2 and v1.0.0+10 are equal")
    assert () == told("v1.0.0+2", "v1.0.0+10", slot=True)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["v1.0.0-rc.9", "v1.0.0-rc.10"],
        ["v1.0.0-rc1", "v1.0.0-rc9"],
        ["v1.0.0-alpha9", "v1.0.0-rc10"],
        ["v1.0.0-alpha10", "v1.0.0-rc9"],
        ["v1.0.0+a", "v1.0.0-rc.1+b"],
        ["v2.0.0", "v1.0.0-rc9", "v1.0.0-rc10"],
    ],
)
def test_expected_order_is_no_surprise(names: list[str]) -> None:
    assert () == told(*names)
