"""Presentation of durations, times and output to people."""

from __future__ import annotations

LINES = 50
BYTES = 2000
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


def head(text: str) -> str:
    """Return the beginning of *text*, and how much of it is left out."""
    lines = text.split("\n")
    if len(lines) > LINES:
        left = len(lines) - LINES
        text = "\n".join([*lines[:LINES], f"... ({left} more lines truncated)"])
    data = text.encode()
    if len(data) <= BYTES:
        return text
    end = data.rfind(b"\n", 0, CUT + 1)
    kept = data[: end if end > 0 else CUT].decode(errors="ignore")
    return f"{kept}\n... ({len(text) - len(kept)} more characters truncated)"


def tail(text: str) -> str:
    """Return the end of *text*: of a log the last lines tell most."""
    kept = "\n".join(text.split("\n")[-LINES:]).encode()[-CUT:].decode(errors="ignore")
    return kept if len(kept) == len(text) else f"...\n{kept}"
