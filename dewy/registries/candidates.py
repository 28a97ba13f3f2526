"""Candidates: the versions of a registry that the options of its URL allow."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlsplit

from .. import urls
from ..errors import Ambiguous, ConfigError, NoRelease
from ..release import Refusal, Release
from ..versions import (
    VERSION,
    Constraint,
    Key,
    Rules,
    Selection,
    Version,
    choose_artifact,
    key_of,
    order,
    outdone_by,
    surprises,
)
from ..versions.filenames import is_archive, is_companion

Details = Callable[[Version], Awaitable[Release]]
"""
Fetch the release of a version.

Raises NoRelease if this host cannot have it, NotYet while it is being published,
RemoteError if the request to the registry failed.
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """
    A registry's list, with the details of each version on demand.

    Attributes:
        where: The registry's name in messages.

        versions: The versions that the options allow, newest first.

        details: Fetches the release of a version.

        refused: The names that the options exclude, each with the reason.

        names: The names in the list; None if the registry has no list and names a
            single release, whose order is unknown.

        complete: Whether *names* is the whole list.

        key: Returns the precedence of a name; None if it has none.

        costly: Whether *details* costs a request.

        surprises: Warnings about the order, one sentence each.

        listed: Identity of this listing; a new object each time the list is read.
    """

    where: str
    versions: tuple[Version, ...]
    details: Details
    refused: tuple[Refusal, ...] = ()
    names: frozenset[str] | None = None
    complete: bool = True
    key: Callable[[str], Key | None] = lambda name: None
    costly: bool = True
    surprises: tuple[str, ...] = ()
    listed: object = field(default_factory=object)

    @classmethod
    def only(cls, where: str, release: Release) -> Candidates:
        """Return *release* as the only candidate."""

        async def details(version: Version) -> Release:
            return release

        return cls(where, (Version(release.tag, release.tag, ()),), details)

    def older(self, tag: str) -> Iterator[Refusal]:
        """Yield the versions listed after *tag*, each with the reason."""
        than: Version | None = None
        for version in self.versions:
            if than is not None:
                yield Refusal(version.tag, outdone_by(than, version))
            elif version.tag == tag:
                than = version


async def newest(candidates: Candidates) -> Release:
    """
    Return the release of the newest version; `refused` lists all other names.

    Raises:
        NoRelease: the registry holds no version, or this host cannot have it.
        NotYet: the version is still being published.
        RemoteError: the request to the registry failed.
    """
    refused = candidates.refused
    if not candidates.versions:
        raise NoRelease(f"{candidates.where} holds no version for this host", refused)
    best = candidates.versions[0]
    passed = (*refused, *candidates.older(best.tag))
    try:
        release = await candidates.details(best)
    except NoRelease as exc:
        exc.prepend(passed)
        raise
    return replace(release, refused=(*passed, *release.refused))


COMMON: Mapping[str, str] = {
    "pre-release": "false",
    "artifact": "",
    "strip": "0",
    "calver": "",
    "channel": "",
    "constraint": "",
    "tag-prefix": "",
    "exclude": "",
}


@dataclass(frozen=True, slots=True)
class Options:
    """
    The options by which a registry chooses versions and artifacts for this host.

    Attributes:
        rules: The rules for versions.

        artifact: The name of the artifact, which may contain `{version}`; "" to choose
            by platform.

        selection: The properties of this host.
    """

    rules: Rules
    artifact: str
    selection: Selection

    @classmethod
    def read(
        cls,
        url: SplitResult,
        selection: Selection,
        allowed: Mapping[str, str] = COMMON,
        *,
        dashed_slot: bool = False,
    ) -> Self:
        """
        Parse the query of *url*; *allowed* maps each known option to its default.

        With *dashed_slot*, a name may end in `-SLOT` instead of `+SLOT`.

        Raises:
            ConfigError: an option is unknown, or its value is invalid.
        """
        chosen = {**COMMON, **urls.options(url, allowed)}
        _strip(chosen["strip"])
        constraint = chosen["constraint"]
        rules = Rules(
            pre_release=urls.boolean("pre-release", chosen["pre-release"]),
            calver=chosen["calver"],
            channels=tuple(filter(None, chosen["channel"].split(","))),
            slot=selection.slot,
            constraint=Constraint.parse(constraint) if constraint else None,
            dashed_slot=dashed_slot,
            prefix=chosen["tag-prefix"],
            exclude=tuple(filter(None, chosen["exclude"].split(","))),
        )
        return cls(rules, chosen["artifact"], selection)

    def named(self, names: Iterable[str], where: str, tag: str) -> Version:
        """
        Return the version called *tag* among *names*, the list of *where*.

        An operator who names a version means it: pre-release, channel, constraint and
        exclusions are ignored. The slot still applies, as a property of this host.

        Raises:
            NoRelease: *names* hold no such version for this host.
        """
        rules = replace(
            self.rules, pre_release=True, channels=(), constraint=None, exclude=()
        )
        ordered = order([name for name in names if name == tag], rules)
        if not ordered.versions:
            text = f"{where} holds no version {tag} for this host"
            raise NoRelease(text, ordered.refused)
        return ordered.versions[0]

    def candidates(
        self,
        names: Iterable[str],
        where: str,
        details: Details,
        *,
        costly: bool = True,
    ) -> Candidates:
        """Return the candidates among *names*, the list of *where*."""
        listed = tuple(names)
        ordered = order(listed, self.rules)
        return Candidates(
            where,
            ordered.versions,
            details,
            ordered.refused,
            frozenset(listed),
            key=self.key,
            costly=costly,
            surprises=surprises(ordered.versions, slot=bool(self.rules.slot)),
        )

    def key(self, name: str) -> Key | None:
        """Return the precedence of *name*, allowed or not; None if it has none."""
        return key_of(name, self.rules)

    def file(
        self, names: Iterable[str], where: str, since: datetime | None, version: Version
    ) -> tuple[str, tuple[Refusal, ...]]:
        """
        Choose the artifact for this host among *names*, the files of *version*.

        Return its name, and the other names with the reasons. *where* is the release's
        name in messages; *since*, when it was published, goes into the error.

        Raises:
            NoRelease: *names* hold no artifact for this host.
            Ambiguous: several artifacts fit equally well.
        """
        forms = self._forms(version)
        choice = choose_artifact(names, self.selection.platform, self.artifact, forms)
        if choice.name is not None:
            return choice.name, choice.refused
        if choice.equal:
            raise Ambiguous(_undecided(where, choice.equal, forms), choice.refused)
        wanted = f"file {self.artifact}" if self.artifact else "artifact"
        text = f"{where} holds no {wanted} for this host"
        unfinished = not self.artifact and not any(
            is_archive(each.name) and not is_companion(each.name)
            for each in choice.refused
        )
        raise NoRelease(text, choice.refused, since, unfinished=unfinished)

    def _forms(self, version: Version) -> tuple[str, ...]:
        """Return the spellings of *version* in file names, longest first."""
        bare = version.tag.removeprefix(self.rules.prefix)
        short = bare.partition("+")[0]
        forms = (
            version.tag,
            bare,
            short,
            *(each.removeprefix("v") for each in (bare, short)),
        )
        return tuple(dict.fromkeys(forms))


def strip_of(registry: str) -> int:
    """
    Return the number of leading directories that the option `strip` of the URL
    *registry* removes from the paths in an archive.

    Raises:
        ConfigError: the value is not a number from 0 to 9.
    """
    pairs = parse_qsl(urlsplit(registry).query)
    said = [value for name, value in pairs if name.lower() == "strip"]
    return _strip(said[-1] if said else COMMON["strip"])


def _strip(text: str) -> int:
    if not re.fullmatch(r"[0-9]", text, re.ASCII):
        raise ConfigError(f"option strip={text!r} must be a number from 0 to 9")
    return int(text)


def _undecided(where: str, names: Sequence[str], forms: Sequence[str]) -> str:
    shown = " and ".join(sorted(names)[:3])
    plain = min(names, key=lambda name: (len(name), name))
    form = next((form for form in forms if form in plain), "")
    example = plain.replace(form, VERSION) if form else plain
    return (
        f"{where} holds {shown}, which fit this host equally well; "
        f"choose one in the registry's URL, as in artifact={example}"
    )


class AnswerNames:
    """IDs of answers, from the time of the first; an unchanged answer keeps its ID."""

    def __init__(self) -> None:
        self._last = ("", "")

    def name(self, answer: str) -> str:
        """Return the ID of *answer*: `20310203T040506+0900`, or `…Z`."""
        if self._last[0] != answer:
            self._last = (answer, stamp(datetime.now().astimezone()))
        return self._last[1]


def stamp(moment: datetime) -> str:
    """Return the ID of an answer received at *moment*, an aware time."""
    offset = f"{moment:%z}"
    return f"{moment:%Y%m%dT%H%M%S}{'Z' if offset == '+0000' else offset}"
