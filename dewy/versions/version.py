"""A version, whatever its scheme, and the order of versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

#: The channel of versions that are no pre-release.
STABLE = "stable"

#: Longer names are no versions; it also keeps numbers within what `int` reads.
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
    A name that was read as a version.

    Two versions may differ and still be of equal precedence: compare `key`.

    Attributes:
        tag: The name as published.

        text: The name as its scheme writes it.

        numbers: The numeric segments, the weightiest first.

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
        The maturity the version is meant for: `stable`, or for a pre-release the word
        it begins with, in lower case (`rc.1`, `rc-1` and `RC1` are `rc`).
        """
        if not self.pre_release:
            return STABLE
        word = _CHANNEL.match(self.pre_release)
        name = word[0].strip("-") if word else ""
        return (name or self.pre_release.partition(".")[0]).lower()

    @property
    def key(self) -> Key:
        """
        Precedence: of two versions the one with the greater key is newer.

        A pre-release comes before its release; the slot does not count.
        """
        identifiers = self.pre_release.split(".") if self.pre_release else []
        return (
            self.numbers,
            not self.pre_release,
            tuple(map(_identifier, identifiers)),
        )


def _identifier(text: str) -> Identifier:
    """Integers come before text; what 64 bits cannot hold is text."""
    if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return (0, int(text), "")
    return (1, 0, text)
