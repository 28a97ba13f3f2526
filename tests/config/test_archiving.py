"""Options about unpacking."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dewy.config.settings import OPTIONS
from dewy.errors import ConfigError


def read(name: str, text: str) -> object:
    return OPTIONS[name].kind.read((text,), f"--{name}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GiB", 8 << 30), ("500MB", 500_000_000), ("64m", 64 << 20), ("1024", 1024)],
)
def test_size_has_a_unit_or_none(text: str, expected: int) -> None:
    assert expected == read("archive-max-bytes", text)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("archive-max-bytes", "0", "a size such as 500MB or 8GiB"),
        ("archive-max-bytes", "much", "a size such as 500MB or 8GiB"),
        ("archive-max-ratio", "-1", "a whole number from 0 to"),
        ("archive-max-entries", "0", "a whole number from 1 to"),
        ("absolute-links", "yes", "one of auto, allow, refuse"),
    ],
)
def test_other_values_are_refused_by_name(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"^--{name} '{text}' must be {expected}"):
        read(name, text)


@pytest.mark.parametrize("name", ["archive-max-ratio", "archive-max-entries"])
def test_limits_are_options(name: str) -> None:
    reader: Callable[[str, str], object] = read

    assert 1 == reader(name, "1")
