"""Reading JSON into dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dewy.deploy.decode import LATEST, document, number, record


@dataclass(frozen=True)
class Thing:
    name: str
    count: int
    when: float | None = None
    words: tuple[str, ...] = ()
    on: bool = False


WHOLE = {"name": "a", "count": 2, "when": 3.5, "words": ["b"], "on": True}


def test_values_of_the_right_types_are_taken() -> None:
    assert Thing("a", 2, 3.5, ("b",), True) == record(Thing, {**WHOLE, "moon": 1})
    assert Thing("a", 2) == record(Thing, {"name": "a", "count": 2})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 1},
        {"name": None},
        {"count": "2"},
        {"count": 2.5},
        {"count": True},
        {"when": "now"},
        {"when": float("nan")},
        {"when": float("inf")},
        {"when": -1},
        {"when": LATEST + 1},
        {"words": "b"},
        {"words": [1]},
        {"words": {"b": 1}},
        {"on": 1},
    ],
)
def test_wrong_value_is_refused_by_name(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name}: .* is "):
        record(Thing, {**WHOLE, **wrong})


def test_missing_key_is_named() -> None:
    with pytest.raises(ValueError, match="count is missing"):
        record(Thing, {"name": "a"})


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000])
def test_text_without_an_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        document(text)


def test_huge_number_is_out_of_range() -> None:
    with pytest.raises(ValueError, match="out of range"):
        number(10**400)
