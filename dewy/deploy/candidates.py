"""Choice of a candidate: the newest version that this host can have, and may."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..errors import Ambiguous, NoRelease, NotYet
from ..registries import Candidates, Registry, candidates_of
from ..release import Refusal, Release
from ..versions import Version
from .plan import (
    DEPLOY,
    PASS_OVER,
    SKIP,
    WAIT,
    Decision,
    in_grace,
    is_beside,
    plan,
    unreachable,
)
from .state import State

__all__ = [
    "MOST",
    "Absence",
    "Found",
    "ask",
    "ask_for",
    "find",
    "first",
    "in_detail",
    "in_short",
]

MOST = 20
"""The number of versions passed over in one look, where each costs a request."""


@dataclass(frozen=True, slots=True)
class Found:
    """
    The result of going through a registry's candidates.

    Attributes:
        release: The version to act on or to wait for; None if there is nothing to act
            on.

        decision: The action to take, and why.

        passed_over: The versions newer than it that this host cannot have, or may
            not for now, and why; newest first.

        newest: The newest version this host can have, in quarantine or not.

        withdrawn: The version that runs is no longer offered, so that an older
            one may take its place.

        candidates: The candidates gone through; None where a version was named.
    """

    release: Release | None
    decision: Decision
    passed_over: tuple[Refusal, ...] = ()
    newest: Release | None = None
    withdrawn: bool = False
    candidates: Candidates | None = None

    @property
    def why(self) -> str:
        """The reason for the choice; "" if the version is simply the newest."""
        if self.withdrawn:
            return self.decision.reason
        if not self.passed_over:
            return ""
        newer = ", ".join(each.name for each in self.passed_over[:3])
        more = len(self.passed_over) - 3
        others = f" and {more} more" if more > 0 else ""
        return f"the newest that this host can have; passed over: {newer}{others}"

    def to_json(self) -> list[dict[str, str]]:
        """Return the versions passed over, for `status` and `check`."""
        return [{"name": e.name, "reason": e.reason} for e in self.passed_over]


class Absence:
    """The check that a version is gone: missing from two lists in a row."""

    def __init__(self) -> None:
        self._missing: tuple[str, object] | None = None

    def confirmed(self, tag: str, candidates: Candidates) -> bool:
        """Return whether *candidates* have ceased to offer *tag*."""
        if candidates.names is None or not candidates.complete:
            return False
        if tag in candidates.names:
            self._missing = None
            # Listed, and excluded by filters that have changed.
            return all(tag != version.tag for version in candidates.versions)
        before, self._missing = self._missing, (tag, candidates.listed)
        if before is None or before[0] != tag:
            return False
        if before[1] == candidates.listed:
            self._missing = before
            return False
        self._missing = before
        return True


async def ask(
    registry: Registry, state: State, absence: Absence, now: float, grace: float
) -> Found:
    """
    Decide by the answer of *registry*; arguments, result and errors are those of
    `find`.

    A version that is still being published is an answer, too. A running stopgap keeps
    no other version out.
    """
    if state.is_stopgap:
        state = replace(state, running=None)
    try:
        candidates = await candidates_of(registry)
        running = state.running
        # What the original left unnamed is in no list.
        named = running is not None and bool(running.tag)
        gone = (
            running is not None and named and absence.confirmed(running.tag, candidates)
        )
        return await find(candidates, state, now, grace, withdrawn=gone)
    except (NotYet, NoRelease) as exc:
        return _waiting(exc, now, grace)


async def ask_for(registry: Registry, tag: str, now: float, grace: float) -> Found:
    """Decide as `ask` does, about the version called *tag*."""
    try:
        release = await registry.current(tag)
    except (NotYet, NoRelease) as exc:
        return _waiting(exc, now, grace)
    return Found(release, Decision(DEPLOY, f"{tag} was asked for"))


def _waiting(exc: NotYet | NoRelease, now: float, grace: float) -> Found:
    if isinstance(exc, NotYet):
        return Found(None, Decision(WAIT, str(exc), exc.settles_in))
    if in_grace(exc, now, grace):
        return Found(None, _on_its_way(exc))
    raise exc


async def find(
    candidates: Candidates,
    state: State,
    now: float,
    grace: float,
    *,
    withdrawn: bool = False,
) -> Found:
    """
    Return the decision, with the newest version that this host can have and may.

    Versions are asked for one after the other, newest first. *now* is seconds since the
    epoch; one without an artifact for this host is waited for until *grace* seconds
    after it was published. *withdrawn*: the running version is no longer offered.

    Raises:
        NoRelease: no release runs, and the registry holds no version that this host can
            have.
        Ambiguous: several files of a version fit, while something runs.
        RemoteError: the registry did not answer.
    """
    walk = _Walk(candidates, state, now, grace, withdrawn)
    for version in candidates.versions:
        if not withdrawn and is_beside(state, candidates, version):
            continue
        if decision := unreachable(state, candidates, version, withdrawn=withdrawn):
            return walk.ended(decision)
        if candidates.costly and len(walk.failures) >= MOST:
            break
        if found := await walk.look_at(version):
            return found
    return walk.exhausted()


class _Walk:
    """A walk through the candidates, and the versions passed on it."""

    def __init__(
        self,
        candidates: Candidates,
        state: State,
        now: float,
        grace: float,
        withdrawn: bool,
    ) -> None:
        self._candidates = candidates
        self._state = state
        self._now = now
        self._grace = grace
        self._withdrawn = withdrawn
        self._passed: list[Refusal] = []
        self._newest: Release | None = None
        self._kept_out: Decision | None = None
        self.failures: list[NoRelease] = []

    async def look_at(self, version: Version) -> Found | None:
        """Return the decision on *version*; None if it is passed over."""
        try:
            release = await self._candidates.details(version)
        except NotYet as exc:
            return self.ended(Decision(WAIT, str(exc), exc.settles_in))
        except NoRelease as exc:
            return self._missing(version, exc)
        self._newest = self._newest or release
        decision = plan(self._state, release, self._now)
        if decision.action is PASS_OVER:
            self._kept_out = self._kept_out or decision
            self._passed.append(Refusal(version.tag, decision.reason))
            return None
        return self.ended(self._told(decision), release)

    def ended(self, decision: Decision, release: Release | None = None) -> Found:
        passed = tuple(self._passed)
        newest = self._newest or release
        return Found(
            release, decision, passed, newest, self._withdrawn, self._candidates
        )

    def exhausted(self) -> Found:
        """Return the result when no candidate is left."""
        if self._kept_out:
            return self.ended(replace(self._kept_out, action=WAIT))
        if waiting := next(filter(self._is_recent, self.failures), None):
            return self.ended(_on_its_way(waiting))
        running = self._state.running
        if running and self._candidates.versions:
            nothing = (
                f"{running.name} runs; {self._candidates.where} offers nothing else"
            )
            return self.ended(Decision(WAIT, nothing))
        raise self._nothing()

    def _missing(self, version: Version, exc: NoRelease) -> Found | None:
        """Decide about *version*, which this host cannot have."""
        running = self._state.running
        if isinstance(exc, Ambiguous) and running:
            raise exc
        if self._is_recent(exc) and not exc.unfinished:
            return self.ended(_on_its_way(exc))
        if running and running.tag == version.tag:
            return self.ended(Decision(SKIP, f"{running.name} runs, though {exc}"))
        self.failures.append(exc)
        self._passed.append(Refusal(version.tag, in_detail(exc)))
        return None

    def _is_recent(self, exc: NoRelease) -> bool:
        return in_grace(exc, self._now, self._grace)

    def _told(self, decision: Decision) -> Decision:
        running = self._state.running
        if not (self._withdrawn and running) or decision.action in (SKIP, WAIT):
            return decision
        return replace(decision, reason=f"{running.name} was withdrawn")

    def _nothing(self) -> NoRelease:
        candidates, passed = self._candidates, self._passed
        refused = (*passed, *candidates.refused)
        if not self.failures:
            text = f"{candidates.where} holds no version for this host"
            return NoRelease(text, refused)
        exc = self.failures[0]
        others = len(candidates.versions) - 1
        more = f"; nor any of the {others} older" if others else ""
        return NoRelease(f"{exc}{more}", (*refused, *exc.refused), exc.since)


async def first(candidates: Candidates) -> tuple[Release, list[tuple[str, NoRelease]]]:
    """
    Return the newest version hosts of this platform can have, whatever they run,
    and why they cannot have those before it.

    Raises:
        NoRelease: the registry holds no such version.
        NotYet: the newest is being published.
        RemoteError: the registry did not answer.
    """
    passed: list[tuple[str, NoRelease]] = []
    for version in candidates.versions:
        if candidates.costly and len(passed) >= MOST:
            break
        try:
            return await candidates.details(version), passed
        except NoRelease as exc:
            passed.append((version.tag, exc))
    if passed:
        missing = passed[0][1]
        missing.prepend(candidates.refused)
        raise missing
    text = f"{candidates.where} holds no version for this host"
    raise NoRelease(text, candidates.refused)


def in_detail(exc: NoRelease, most: int = 3) -> str:
    """Explain why a version cannot be had, with the first files that were looked at."""
    looked = ", ".join(in_short(exc.refused, most))
    return f"{exc} ({looked})" if looked else str(exc)


def in_short(refusals: Iterable[Refusal], most: int = 5) -> Sequence[str]:
    """Lines for people: *most* refusals, and a count of the rest."""
    listed = list(refusals)
    lines = [f"{each.name}: {each.reason}" for each in listed[:most]]
    return [*lines, f"and {rest} more"] if (rest := len(listed) - most) > 0 else lines


def _on_its_way(exc: NoRelease) -> Decision:
    return Decision(WAIT, f"{exc}; it may still be on its way")
