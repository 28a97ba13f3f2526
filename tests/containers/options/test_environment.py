"""Variables for containers."""

from __future__ import annotations

import pytest

from dewy.containers.options.arguments import variable
from dewy.errors import ConfigError

OURS = {"SET": "ours"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b", ("A", "b")),
        ("A=b=c", ("A", "b=c")),
        ("A=", ("A", "")),
        ("SET", ("SET", "ours")),
        ("UNSET", ("UNSET", None)),
    ],
)
def test_name_alone_is_passed_on(text: str, expected: tuple[str, str | None]) -> None:
    """Its value stays off the command line that way."""
    assert expected == variable(text, "-e", OURS)


@pytest.mark.parametrize("text", ["", "=secret", "A=sec\0ret"])
def test_variable_needs_a_name(text: str) -> None:
    """The value is not told."""
    with pytest.raises(ConfigError, match=r"^-e must be NAME=VALUE, or NAME") as caught:
        variable(text, "-e", OURS)

    assert "sec" not in str(caught.value)
