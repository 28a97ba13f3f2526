"""Choice of the newest version that a host may have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from operator import attrgetter

from ..errors import ConfigError
from ..release import Refusal
from .constraint import Constraint
from .version import STABLE, Key, Version, calver_pattern, parse_calver, parse_semver


@dataclass(frozen=True, slots=True)
class Rules:
    """
    The rules by which versions are candidates.

    Attributes:
        pre_release: Whether pre-releases are candidates, too; ignored if there are
            *channels*.

        calver: The format of calendar versions, or "" for semantic ones.

        channels: The channels allowed, in any case; empty for no restriction. `stable`
            means versions without a pre-release.

        slot: The slot required; "" for any.

        constraint: The range required of semantic versions.

        dashed_slot: Whether a name may also end in `-SLOT`, where names cannot contain
            a `+`.

        prefix: The prefix of every name, such as `api-` or `api/` in a repository that
            releases several programs.

        exclude: Globs of names that are no candidates.

    Raises:
        ConfigError: the calver format contains no token, or is combined with a
            constraint.
    """

    pre_release: bool = False
    calver: str = ""
    channels: tuple[str, ...] = ()
    slot: str = ""
    constraint: Constraint | None = None
    dashed_slot: bool = False
    prefix: str = ""
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.calver:
            calver_pattern(self.calver)
            if self.constraint:
                raise ConfigError("constraint is for semantic versions, not for calver")


@dataclass(frozen=True, slots=True)
class Order:
    """The versions allowed, newest first, and every other name with its reason."""

    versions: tuple[Version, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The newest candidate, or None, and every other name with its reason."""

    best: Version | None
    refused: tuple[Refusal, ...]


def order(names: Iterable[str], rules: Rules) -> Order:
    """
    Sort the versions among *names*, newest first; equal ones keep their order.

    Names that *rules* exclude are dropped first, so that a version for other hosts
    never hides one for this host.
    """
    judged = [_judge(name, rules) for name in names]
    versions = [item for item in judged if isinstance(item, Version)]
    versions.sort(key=attrgetter("key"), reverse=True)
    refused = (item for item in judged if isinstance(item, Refusal))
    return Order(tuple(versions), tuple(refused))


def choose(names: Iterable[str], rules: Rules) -> Choice:
    """Choose the newest version among *names*; among equals the first listed wins."""
    ordered = order(names, rules)
    if not ordered.versions:
        return Choice(None, ordered.refused)
    best, *others = ordered.versions
    outdone = (Refusal(each.tag, outdone_by(best, each)) for each in others)
    return Choice(best, (*ordered.refused, *outdone))


def outdone_by(best: Version, version: Version) -> str:
    """Explain in a phrase why *best* comes before *version*."""
    if version.key == best.key:
        return f"equal to {best.tag}, which is listed first"
    return f"older than {best.tag}"


def key_of(name: str, rules: Rules) -> Key | None:
    """Return the precedence of *name*, allowed or not; None if it is no version."""
    version = _read(name, rules)
    return version.key if version else None


def precedence(name: str) -> Key | None:
    """Return the precedence of *name*; None if it is no semantic version."""
    version = parse_semver(name)
    return version.key if version else None


def slot_of(tag: str, calver_format: str = "") -> str:
    """
    Return the slot in *tag*, or "".

    A tag that is no version of *calver_format* is parsed as a semantic version.

    Raises:
        ConfigError: *calver_format* contains no token.
    """
    version = parse_calver(tag, calver_format) if calver_format else None
    version = version or parse_semver(tag)
    return version.slot if version else ""


def _judge(name: str, rules: Rules) -> Version | Refusal:
    version = _read(name, rules)
    if version is None:
        return Refusal(name, _not_a_version(name, rules))
    reason = (
        _excluded(name, rules)
        or _wrong_slot(version, rules)
        or _wrong_channel(version, rules)
        or _outside(version, rules)
    )
    return Refusal(name, reason) if reason else version


def _read(name: str, rules: Rules) -> Version | None:
    if not name.startswith(rules.prefix):
        return None
    version = _read_bare(name.removeprefix(rules.prefix), rules)
    return replace(version, tag=name) if version else None


def _read_bare(name: str, rules: Rules) -> Version | None:
    end = f"-{rules.slot}"
    if rules.dashed_slot and rules.slot and name.endswith(end):
        version = _parse(name.removesuffix(end), rules)
        if version and not version.slot:
            text = f"{version.text}{end}"
            return replace(version, tag=name, text=text, slot=rules.slot)
    return _parse(name, rules)


def _parse(name: str, rules: Rules) -> Version | None:
    return parse_calver(name, rules.calver) if rules.calver else parse_semver(name)


def _not_a_version(name: str, rules: Rules) -> str:
    if not name.startswith(rules.prefix):
        return f"does not begin with {rules.prefix}"
    if rules.calver:
        return f"not a calendar version of the form {rules.calver}"
    return "not a semantic version"


def _excluded(name: str, rules: Rules) -> str:
    glob = next((each for each in rules.exclude if fnmatchcase(name, each)), "")
    return f"excluded by {glob}" if glob else ""


def _wrong_slot(version: Version, rules: Rules) -> str:
    if rules.slot in ("", version.slot):
        return ""
    if not version.slot:
        return f"no slot, not {rules.slot}"
    return f"slot {version.slot}, not {rules.slot}"


def _wrong_channel(version: Version, rules: Rules) -> str:
    channel = version.channel
    if not rules.channels:
        barred = version.pre_release and not rules.pre_release
        return "pre-release" if barred else ""
    if channel not in {name.lower() for name in rules.channels}:
        return f"channel {channel}, not {' or '.join(rules.channels)}"
    # v1.0.0-stable.1 is a pre-release despite its name.
    return "pre-release" if version.pre_release and channel == STABLE else ""


def _outside(version: Version, rules: Rules) -> str:
    if rules.constraint is None or rules.constraint.allows(version):
        return ""
    return f"outside {rules.constraint.text}"


_NUMBERED = re.compile(r"([A-Za-z-]*[A-Za-z-])([0-9]+)")


def surprises(versions: Sequence[Version], *, slot: bool) -> tuple[str, ...]:
    """
    Return warnings where precedence between the newest of *versions* is unexpected.

    *versions* are sorted, newest first; those with the numbers of the first one are
    compared. With *slot*, build metadata is the slot, and no warning concerns it.
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
    """Yield each identifier that ends in a number: what precedes it, and the number."""
    identifiers = version.pre_release.split(".")
    for at, identifier in enumerate(identifiers):
        if match := _NUMBERED.fullmatch(identifier):
            yield (*identifiers[:at], match[1]), int(match[2])


def _equals(versions: Sequence[Version]) -> Iterator[str]:
    """Warn where versions differ only in build metadata (semver.org, section 10)."""
    for version, other in pairwise(versions):
        if version.key == other.key and version.slot != other.slot:
            yield (
                f"{version.tag} and {other.tag} are equal: what follows + does not "
                f"count; {version.tag} is taken because it is listed first"
            )
            return
