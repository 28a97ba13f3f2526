"""Reading JSON objects into dataclasses, each value checked (pure)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from typing import Any, TypeVar

__all__ = [
    "LATEST",
    "boolean",
    "document",
    "listed",
    "mapping",
    "number",
    "record",
    "text",
    "texts",
]

LATEST = 253402300799.0
"""The last moment that has a date, seconds since the epoch."""

R = TypeVar("R")
Check = Callable[[object], Any]


def document(data: bytes) -> dict[str, Any]:
    """
    Return the JSON object in *data*.

    Raises:
        ValueError: *data* holds no JSON object.
    """
    try:
        return mapping(json.loads(data))
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def record(kind: type[R], data: object) -> R:
    """
    Return a *kind*, a dataclass of texts, numbers and tuples of texts, from *data*.

    Keys it does not have are a newer dewy's, and left out.

    Raises:
        ValueError: *data* is no object, lacks a key, or a value is of another type.
    """
    given, found = mapping(data), {}
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name in given:
            try:
                found[each.name] = CHECKS[str(each.type)](given[each.name])
            except ValueError as exc:
                raise ValueError(f"{each.name}: {exc}") from None
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{each.name} is missing")
    return kind(**found)


def mapping(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{_shown(data)} is not an object")
    return data


def text(value: object) -> str:
    """
    Return *value*, if it is text.

    Raises:
        ValueError: *value* is not text.
    """
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not a text")
    return value


def texts(value: object) -> tuple[str, ...]:
    return tuple(text(item) for item in listed(value))


def number(value: object) -> float:
    """
    Return *value*, if it is a time, or a span of it, from 0 to `LATEST`.

    Raises:
        ValueError: *value* is not a number, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_shown(value)} is not a number")
    if not 0 <= value <= LATEST:  # nor is NaN
        raise ValueError(f"{_shown(value)} is out of range")
    return value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is not true or false")
    return value


def _integer(value: object) -> int:
    found = number(value)
    if not isinstance(found, int):
        raise ValueError(f"{_shown(value)} is not a whole number")
    return found


def _optional(value: object) -> float | None:
    return None if value is None else number(value)


def listed(value: object) -> Iterable[object]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{_shown(value)} is not a list")
    return value


def _shown(value: object) -> str:
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


CHECKS: dict[str, Check] = {
    "str": text,
    "int": _integer,
    "float": number,
    "float | None": _optional,
    "bool": boolean,
    "tuple[str, ...]": texts,
}
