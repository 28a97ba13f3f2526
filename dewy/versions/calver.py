"""Calendar versions: `2024.06.3-rc.1+blue` in a format such as `YYYY.0M.MICRO`."""

from __future__ import annotations

import re
from functools import lru_cache

from ..errors import ConfigError
from .version import LONGEST, SUFFIX, Version

# The order matters where one token begins like another.
_TOKENS = {
    "YYYY": r"[0-9]{4}",
    "0Y": r"[0-9]{2,3}",
    "YY": r"[0-9]{1,3}",
    "0M": r"0[1-9]|1[0-2]",
    "MM": r"[1-9]|1[0-2]",
    "0W": r"0[1-9]|[1-4][0-9]|5[0-3]",
    "WW": r"[1-9]|[1-4][0-9]|5[0-3]",
    "0D": r"0[1-9]|[12][0-9]|3[01]",
    "DD": r"[1-9]|[12][0-9]|3[01]",
    "MICRO": r"[0-9]+",
}
_PIECES = re.compile("(" + "|".join(_TOKENS) + ")")


@lru_cache(maxsize=16)
def pattern(format: str) -> re.Pattern[str]:
    """
    Return the pattern of versions of *format*; its numbered groups are the segments.

    Raises:
        ConfigError: *format* holds no token.
    """
    pieces = _PIECES.split(format)
    if len(pieces) == 1:
        raise ConfigError(
            f"calver format {format!r} names no part of a version; "
            f"write for example YYYY.0M.MICRO (known: {', '.join(_TOKENS)})"
        )
    segments = [
        f"({_TOKENS[piece]})" if piece in _TOKENS else re.escape(piece)
        for piece in pieces
    ]
    return re.compile("v?" + "".join(segments) + SUFFIX, re.ASCII)


def parse(name: str, format: str) -> Version | None:
    """
    Read *name*; None if it is no version of *format*.

    Raises:
        ConfigError: *format* holds no token.
    """
    match = pattern(format).fullmatch(name)
    if match is None or len(name) > LONGEST:
        return None
    *segments, pre_release, slot = match.groups()
    return Version(
        tag=name,
        text=name,
        numbers=tuple(map(int, segments)),
        pre_release=pre_release or "",
        slot=slot or "",
    )
