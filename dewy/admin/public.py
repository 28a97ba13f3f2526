"""The part of a status that every user of the host may see (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["public"]


def public(status: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *status* without what programs say of themselves: it may hold secrets.

    Step, exit and category of a failure stay, and whether there is more to read.
    """
    return {
        **_without(status, "last_detail"),
        "quarantine": [_discreet(each) for each in status["quarantine"]],
        "generations": [_without(each, "status") for each in status["generations"]],
    }


def _discreet(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**_without(entry, "detail"), "wrote": bool(entry.get("detail"))}


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}
