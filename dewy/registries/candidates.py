"""The versions a registry offers a host, newest first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace

from ..errors import NoRelease
from ..release import Refusal, Release
from ..versions import Key, Version, outdone_by

__all__ = ["Candidates", "newest"]

Details = Callable[[Version], Awaitable[Release]]
"""
Return one version with its artifact.

Raises NoRelease where this host cannot have it, NotYet while it is being
published, RemoteError where the registry does not answer.
"""


@dataclass(frozen=True, slots=True)
class Candidates:
    """
    A registry's list, with the details of each version on demand.

    Attributes:
        where: The registry, for messages.

        versions: The versions its options allow, newest first.

        refused: The names they exclude, and why.

        names: The names in the list; None where the registry names a release itself and
            has no list, so that nothing is said about order.

        complete: True if nothing is missing in *names*.

        key: Return the precedence of a name, None where it has none.

        details: Look a version up.

        costly: `details` costs a request.

        surprises: Warnings about the order, a sentence each.

        listed: Differs from one look at the list to the next.
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
        """Return the one *release* that a registry names."""

        async def details(version: Version) -> Release:
            return release

        return cls(where, (Version(release.tag, release.tag, ()),), details)

    def older(self, tag: str) -> Iterator[Refusal]:
        """Yield the versions behind *tag*, each with why it is not taken."""
        than: Version | None = None
        for version in self.versions:
            if than is not None:
                yield Refusal(version.tag, outdone_by(than, version))
            elif version.tag == tag:
                than = version


async def newest(candidates: Candidates) -> Release:
    """
    Return the newest version, with all that it was preferred to.

    Raises:
        NoRelease: the registry holds no version, or this host cannot have it.
        NotYet: the version is being published.
        RemoteError: the registry did not answer.
    """
    refused = candidates.refused
    if not candidates.versions:
        raise NoRelease(f"{candidates.where} holds no version for this host", refused)
    best = candidates.versions[0]
    passed = (*refused, *candidates.older(best.tag))
    try:
        release = await candidates.details(best)
    except NoRelease as exc:
        exc.refused = (*passed, *exc.refused)
        raise
    return replace(release, refused=(*passed, *release.refused))
