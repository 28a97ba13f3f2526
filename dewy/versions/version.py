"""Semantic and calendar versions, and their order (semver.org, calver.org)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from ..errors import ConfigError

#: The channel of versions without a pre-release.
STABLE = "stable"

#: Maximum length of a version; it also bounds the digits that `int` parses.
LONGEST = 255

#: The end of a version, common to both schemes: `-pre.release+slot`.
SUFFIX = r"(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+(?P<slot>[0-9A-Za-z.-]+))?"

Identifier: TypeAlias = tuple[int, int, str]
Key: TypeAlias = tuple[tuple[int, ...], bool, tuple[Identifier, ...]]

_INTEGER = re.compile(r"-?[0-9]+")
_CHANNEL = re.compile(r"[^.0-9]+")


@dataclass(frozen=True, slots=True)
class Version:
    """
    A name parsed as a version.

    Two versions may differ and still be of equal precedence: compare `key`.

    Attributes:
        tag: The name as published.

        text: The name as its scheme writes it.

        numbers: The numeric segments, the most significant first.

        pre_release: The part after `-`, or "".

        slot: The build metadata (what follows `+`), or "".
    """

    tag: str
    text: str
    numbers: tuple[int, ...]
    pre_release: str = ""
    slot: str = ""

    @property
    def channel(self) -> str:
        """
        `stable`, or the leading word of the pre-release in lower case: `rc` for `rc.1`,
        `rc-1` and `RC1`.
        """
        if not self.pre_release:
            return STABLE
        word = _CHANNEL.match(self.pre_release)
        name = word[0].strip("-") if word else ""
        return (name or self.pre_release.partition(".")[0]).lower()

    @property
    def key(self) -> Key:
        """
        The precedence: of two versions, the one with the greater key is newer.

        A pre-release comes before its release; the slot does not count.
        """
        identifiers = self.pre_release.split(".") if self.pre_release else []
        return (
            self.numbers,
            not self.pre_release,
            tuple(map(_identifier, identifiers)),
        )


def _identifier(text: str) -> Identifier:
    """Return the sort key: integers before text; beyond 64 bits they count as text."""
    if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return (0, int(text), "")
    return (1, 0, text)


_SEMVER = re.compile(r"(v?)([0-9]+)\.([0-9]+)\.([0-9]+)" + SUFFIX, re.ASCII)


def parse_semver(name: str) -> Version | None:
    """
    Parse *name*; return None if it is no semantic version.

    Leading zeros are accepted, and dropped from `text`.
    """
    match = _SEMVER.fullmatch(name)
    if match is None or len(name) > LONGEST:
        return None
    numbers = (int(match[2]), int(match[3]), int(match[4]))
    suffix = name[match.end(4) :]
    return Version(
        tag=name,
        text=match[1] + ".".join(map(str, numbers)) + suffix,
        numbers=numbers,
        pre_release=match["pre"] or "",
        slot=match["slot"] or "",
    )


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
def calver_pattern(format: str) -> re.Pattern[str]:
    """
    Return the pattern of versions of *format*, with a group for each segment.

    Raises:
        ConfigError: *format* contains no token.
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


def parse_calver(name: str, format: str) -> Version | None:
    """
    Parse *name*; return None if it is no version of *format*.

    Raises:
        ConfigError: *format* contains no token.
    """
    match = calver_pattern(format).fullmatch(name)
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
