"""Pairs with commas between."""

from __future__ import annotations

import pytest

from dewy.containers.options.quantities import fields
from dewy.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("a=b,C=d=e,ro", [("a", "b"), ("c", "d=e"), ("ro", "")]),
        ('"o=a,b",x=y', [("o", "a,b"), ("x", "y")]),
    ],
)
def test_pairs_are_told_apart(value: str, expected: list[tuple[str, str]]) -> None:
    """Quotes hold a field with commas together."""
    assert expected == list(fields(value, "it"))


@pytest.mark.parametrize("value", ['"secret', "a\nb=secret", '"a"secret'])
def test_broken_ones_are_refused(value: str) -> None:
    """Without telling what they hold."""
    with pytest.raises(ConfigError, match=r"^it must ") as caught:
        list(fields(value, "it"))

    assert "secret" not in str(caught.value)
