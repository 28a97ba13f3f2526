"""Versions whose order is not the one their names suggest (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from .version import Version

_NUMBERED = re.compile(r"([A-Za-z-]*[A-Za-z-])([0-9]+)")


def surprises(versions: Sequence[Version], *, slot: bool) -> tuple[str, ...]:
    """
    Warn of what decides between the newest of *versions* in an unexpected way.

    *versions* come newest first; *slot* says that the build metadata is the slot.
    Only those with the numbers of the newest are looked at.
    """
    newest = [each for each in versions if each.numbers == versions[0].numbers]
    return (*_as_text(newest), *(() if slot else _equals(newest)))


def _as_text(versions: Sequence[Version]) -> Iterator[str]:
    """Warn where `rc9` and `rc10` are compared as text (semver.org, section 11)."""
    seen: dict[tuple[str, ...], tuple[int, Version]] = {}
    for version in versions:
        for place, number in _numbered(version):
            larger, newer = seen.setdefault(place, (number, version))
            if number > larger:
                word, digits = place[-1], (larger, number)
                right = " and ".join(f"{word.rstrip('-')}.{each}" for each in digits)
                yield (
                    f"{newer.tag} counts as newer than {version.tag}: identifiers "
                    f"with letters are compared as text; {right} are not"
                )
                return


def _numbered(version: Version) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield identifiers that end in a number, each with all that stands before it."""
    identifiers = version.pre_release.split(".")
    for at, identifier in enumerate(identifiers):
        if match := _NUMBERED.fullmatch(identifier):
            yield (*identifiers[:at], match[1]), int(match[2])


def _equals(versions: Sequence[Version]) -> Iterator[str]:
    """Build metadata does not count (semver.org, section 10)."""
    for version, other in pairwise(versions):
        if version.key == other.key and version.slot != other.slot:
            yield (
                f"{version.tag} and {other.tag} are equal: what follows + does not "
                f"count; {version.tag} is taken because it is listed first"
            )
            return
