"""Ranges of semantic versions: `^1.2`, `~1.4.2`, `>=1.2 <2`, `1.x || 3.x`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from typing import Self, TypeAlias

from ..errors import ConfigError
from .version import LONGEST, Version

_TERM = re.compile(
    r"(?P<operator>>=|<=|>|<|=|\^|~)?\s*"
    r"v?(?P<parts>[0-9]+(?:\.(?:[0-9]+|[xX*])){0,2}|[xX*])"
    r"(?P<pre>-[0-9A-Za-z.-]+)?(?![^\s,])",
    re.ASCII,
)
_BETWEEN = re.compile(r"[\s,]*")
_COMPARE = {"=": eq, ">=": ge, ">": gt, "<": lt, "<=": le}

FULL = 3
"""The number of numbers in a whole version."""

Numbers: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """A comparison: `>=` and 1.2.0."""

    operator: str
    version: Version

    def allows(self, version: Version) -> bool:
        """Return whether *version* satisfies the comparison."""
        if self.operator == "<" and _leads_to(version, self.version):
            return False
        return bool(_COMPARE[self.operator](version.key, self.version.key))


@dataclass(frozen=True, slots=True)
class Constraint:
    """
    A range of semantic versions that may be deployed.

    `<2.0.0` excludes the pre-releases of 2.0.0, though they precede it; likewise the
    upper bounds of `^1.2`, `~1.2` and `1.x`. `<2.0.0-rc.2` is taken literally.

    Attributes:
        text: The constraint as written.

        alternatives: Lists of bounds; a version has to satisfy all bounds of one list.
    """

    text: str
    alternatives: tuple[tuple[Bound, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse *text*.

        Raises:
            ConfigError: *text* is not a range of versions.
        """
        if len(text) > LONGEST:
            raise ConfigError(f"constraint is longer than {LONGEST} characters")
        parts = text.split("||")
        return cls(text, tuple(tuple(_bounds(part.strip(), text)) for part in parts))

    def allows(self, version: Version) -> bool:
        """Return whether *version* is within the constraint."""
        return any(
            all(bound.allows(version) for bound in bounds)
            for bounds in self.alternatives
        )


def _leads_to(version: Version, bound: Version) -> bool:
    """Return whether *version* is a pre-release of the release *bound*."""
    return (
        bool(version.pre_release)
        and not bound.pre_release
        and version.numbers == bound.numbers
    )


def _bounds(part: str, text: str) -> Iterator[Bound]:
    at, end = 0, len(part)
    while at < end or not part:
        term = _TERM.match(part, at)
        if term is None:
            raise _malformed(text)
        yield from _read(term, text)
        between = _BETWEEN.match(part, term.end())
        at = between.end() if between else end


def _read(term: re.Match[str], text: str) -> Iterator[Bound]:
    operator, pre = term["operator"] or "=", term["pre"] or ""
    numbers = _numbers(term["parts"])
    if numbers is None or (pre and len(numbers) < FULL):
        raise _malformed(text)
    if operator in ("=", "^", "~"):
        yield from _range(operator, numbers, pre)
    elif numbers:
        yield _one_sided(operator, numbers, pre)
    else:
        raise _malformed(text)


def _numbers(parts: str) -> Numbers | None:
    """
    Return the numbers stated: 1.2.x has two, * none; None for nonsense such as 1.x.3.
    """
    words = parts.split(".")
    stated = [word for word in words if word.isdigit()]
    return tuple(map(int, stated)) if words[: len(stated)] == stated else None


def _range(operator: str, numbers: Numbers, pre: str) -> Iterator[Bound]:
    if operator == "=" and pre:
        yield Bound("=", _version(numbers, pre))
        return
    yield Bound(">=", _version(numbers, pre))
    if kept := _kept(operator, numbers):
        yield Bound("<", _version(_following(kept)))


def _kept(operator: str, numbers: Numbers) -> Numbers:
    """Return the leading numbers that must not change."""
    if operator == "=":
        return numbers
    if operator == "~":
        return numbers[:2]
    first = next((at for at, number in enumerate(numbers) if number), FULL)
    return numbers[: first + 1]


def _one_sided(operator: str, numbers: Numbers, pre: str) -> Bound:
    # With >1.2 and <=1.2, 1.2 stands for every 1.2.x.
    if len(numbers) < FULL and operator in (">", "<="):
        operator = {">": ">=", "<=": "<"}[operator]
        numbers = _following(numbers)
    return Bound(operator, _version(numbers, pre))


def _following(numbers: Numbers) -> Numbers:
    return (*numbers[:-1], numbers[-1] + 1)


def _version(numbers: Numbers, pre: str = "") -> Version:
    padded = (*numbers, *(0,) * (FULL - len(numbers)))
    return Version("", "", padded, pre_release=pre.removeprefix("-"))


def _malformed(text: str) -> ConfigError:
    return ConfigError(
        f"constraint {text!r} is no range of versions; write for example"
        " ^1.2, ~1.4.2, 1.x, '>=1.2 <2' or '1.x || 3.x'"
    )
