"""Presentation of durations, times and output to people."""

from __future__ import annotations

from ..logs import readable

LINES = 50
CUT = 1900

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """Return the two largest units of a time: `1 h 3 min`, `40 s`, `0.25 s`."""
    if seconds < 10:
        return f"{round(seconds, 2):g} s"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, parts[:2]))


def tail(text: str) -> str:
    """Return the end of *text*: of a log the last lines tell most."""
    text = readable(text)
    kept = "\n".join(text.split("\n")[-LINES:]).encode()[-CUT:].decode(errors="ignore")
    return kept if len(kept) == len(text) else f"...\n{kept}"
