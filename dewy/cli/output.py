"""Presentation of values to people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

__all__ = ["as_json", "columns", "moment", "span"]


def as_json(value: Any) -> str:
    """Return *value* as one line of JSON; what JSON does not know becomes text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def moment(seconds: float | None) -> str:
    """Return a time in this host's zone; "" for none."""
    if seconds is None:
        return ""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """About how long, in the largest two units: `3d 4h`, `5m 10s`, `0.4s`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    left, parts = int(seconds), []
    for name, size in units:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts[:2])


def columns(rows: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Lines of *rows* with their cells under each other, *gap* blanks between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        (" " * gap).join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
