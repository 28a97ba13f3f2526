"""Presentation of values to people, once or refreshed."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

from ..errors import DewyError

GREEN, YELLOW, RED = "green", "yellow", "red"

_UTC = re.compile(r"\b(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?: UTC|Z)\b", re.ASCII)


def as_json(value: Any) -> str:
    """Return *value* as one line of JSON; what JSON does not know becomes text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def coloured(text: str, colour: str) -> str:
    """
    Return *text* in *colour* for a terminal; click takes it off again for a pipe.

    NO_COLOR, if it is not empty, turns colours off.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, fg=colour)


def moment(seconds: float | None) -> str:
    """Return a time in this host's zone, with its offset; "" for none."""
    return "" if seconds is None else _shown(datetime.fromtimestamp(seconds, UTC))


def period(began: float | None, ended: float) -> str:
    """Return a time from its beginning, if that is known, to its end."""
    if began is None:
        return moment(ended)
    first, last = moment(began), moment(ended)
    date, _, offset = len("YYYY-MM-DD "), None, len(" +00:00")
    if (first[:date], first[-offset:]) == (last[:date], last[-offset:]):
        # The day and the offset once.
        return f"{first[:-offset]} to {last[date:]}"
    return f"{first} to {last}"


def localised(text: str) -> str:
    """Return *text*, which JSON has too, with its times in this host's zone."""
    return _UTC.sub(_local, text)


def _local(found: re.Match[str]) -> str:
    try:
        return _shown(datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00"))
    except (ValueError, OverflowError):
        return found[0]


def _shown(at: datetime) -> str:
    local = at.astimezone()
    zone = f"{local:%z}"
    return f"{local:%Y-%m-%d %H:%M:%S} {zone[:3]}:{zone[3:5]}"


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


REFRESH = 2.0
"""Seconds between two looks."""

CLEAR = "\x1b[H\x1b[2J"


def refresh(show: Callable[[], str], *, json_: bool) -> None:
    """
    Print the result of *show* repeatedly; a failure is shown too, since it may pass.
    """
    with suppress(KeyboardInterrupt):
        while True:
            text = _shown_or_problem(show, json_)
            click.echo((CLEAR if sys.stdout.isatty() else "") + text)
            sys.stdout.flush()
            time.sleep(REFRESH)


def _shown_or_problem(show: Callable[[], str], json_: bool) -> str:
    # A dewy that is being restarted comes back.
    try:
        return show()
    except DewyError as exc:
        return as_json({"error": str(exc)}) if json_ else str(exc)
