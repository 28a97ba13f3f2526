"""Deciding what to do about the releases a registry offers (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ..errors import NoRelease, NotYet
from ..registries import Candidates
from ..release import Release
from ..system import utc
from ..versions import Key, Version
from .quarantine import QuarantineEntry
from .state import Installed, State


class Action(Enum):
    """The action of a tick."""

    SKIP = "skip"
    WAIT = "wait"
    DEPLOY = "deploy"
    PASS_OVER = "pass over"


SKIP, WAIT, DEPLOY, PASS_OVER = Action


@dataclass(frozen=True, slots=True)
class Decision:
    """
    An action, and why, for `status` and the log.

    Attributes:
        settles_in: Seconds until what is waited for may be published, where known.
    """

    action: Action
    reason: str
    settles_in: float | None = None


def plan(state: State, release: Release, now: float) -> Decision:
    """
    Decide what to do about *release*, the newest that this host can have; *now* is in
    seconds since the epoch.

    While something serves, dewy waits for a version in quarantine, and nothing older
    takes its place; if nothing runs, the version is passed over. Healing is not decided
    here: the deployer does that at once.
    """
    running = state.running
    if running is not None and is_same(running, release):
        return Decision(SKIP, f"{release.tag} runs")
    if state.hold and running is not None:
        return Decision(WAIT, f"held at {running.name}; {release.tag} is newest")
    entry = state.quarantine.blocking(release.tag, release.identity, now)
    if entry is not None:
        return Decision(WAIT if running else PASS_OVER, quarantined(entry))
    return Decision(DEPLOY, f"{release.tag} is new")


def decides_alike(one: State, other: State) -> bool:
    """Return whether a registry's list leads to the same decision in both states."""
    return (one.running, one.hold, one.quarantine, one.back_at) == (
        other.running,
        other.hold,
        other.quarantine,
        other.back_at,
    )


def unreachable(
    state: State, candidates: Candidates, version: Version, *, withdrawn: bool
) -> Decision | None:
    """
    Explain why no version from *version* on may replace what runs; None if it may.

    No version older than the running one may, unless that was *withdrawn*; after a
    rollback, no version older than the one that was left, until an operator requests
    it.
    """
    running = state.running
    if running is None or running.tag in ("", version.tag) or candidates.names is None:
        return None
    own = candidates.key(running.tag)
    if not withdrawn and (own is None or version.key < own):
        # A listed version is met before anything lower.
        return Decision(WAIT, f"{running.name} runs, and is missing in the registry")
    left = _left(state, candidates, version)
    if left and (own is None or version.key > own):
        return Decision(
            WAIT,
            f"{running.name} runs after a rollback from {left}, so {version.tag} is "
            "not "
            f"tried by itself; `dewy deploy {version.tag}` does",
        )
    return None


def is_beside(state: State, candidates: Candidates, version: Version) -> bool:
    """Return whether *version* is of the same precedence as another one that runs."""
    running = state.running
    if running is None or running.tag == version.tag or candidates.names is None:
        return False
    return version.key == candidates.key(running.tag)


def _left(state: State, candidates: Candidates, version: Version) -> str:
    """Return the version above *version* that a rollback left, or ""."""
    if not state.back_at:
        return ""
    keys = {entry.tag: candidates.key(entry.tag) for entry in state.quarantine}
    return next((tag for tag, key in keys.items() if key and key > version.key), "")


def is_same(running: Installed, release: Release) -> bool:
    """
    Return whether *running* is *release*.

    The tag alone is not enough, for artifacts are replaced under their tag; what
    the original left behind has nothing but its tag.
    """
    return running.tag == release.tag and running.identity in ("", release.identity)


def outdated_by(state: State, tag: str, key: Callable[[str], Key | None]) -> str:
    """
    Return the running version if *tag* is older by *key*, and so never tried; or "".
    """
    running = None if state.is_stopgap else state.running
    own, its = key(tag), key(running.tag) if running else None
    return running.name if running and own and its and own < its else ""


def not_tried(
    state: State, tag: str, newest: str, key: Callable[[str], Key | None]
) -> str:
    """
    Return why polls do not try *tag* even once its quarantine is over; "" if they do.

    *newest* is the tag that polls find, or "" where that is not known.
    """
    running = None if state.is_stopgap else state.running
    if running is None or running.tag == tag:
        # Where nothing runs, what is newest and kept out is passed over.
        return ""
    if state.hold:
        return f"not tried while held at {running.name}"
    if newest not in ("", tag):
        return f"not tried while {newest} is what polls find"
    newer = outdated_by(state, tag, key)
    return f"not tried while {newer} runs, which is newer" if newer else ""


def in_grace(missing: NoRelease, now: float, grace: float) -> bool:
    """
    Return whether the release *missing* here was published less than *grace* seconds
    ago.
    """
    # A clock that is ahead, here or there, must not keep it on its way for ever.
    return missing.since is not None and abs(now - missing.since.timestamp()) < grace


def is_met(state: State, newest: Release | None) -> bool:
    """
    Return whether *newest*, as the registry names it, runs, or a person keeps it out.
    """
    running = state.running
    if running is None or newest is None:
        return False
    entry = state.quarantine.find(newest.tag, newest.identity)
    kept_out = state.hold or bool(entry and entry.by)
    return kept_out or is_same(running, newest)


def refuse_held(state: State, target: Installed, *, named: bool = False) -> None:
    """
    Refuse a version that a hold keeps out; a provisional hold refuses only versions
    that were not *named*.

    Raises:
        NotYet: the root is held at another version than *target*.
    """
    running = state.running
    held = state.hold and not (named and state.provisional)
    if held and running and not state.runs_by_right(target):
        raise NotYet(f"held at {running.name}; {target.name} waits")


def refuse_start(state: State, release: Release, now: float, *, named: bool) -> None:
    """
    Refuse a deployment that an operator has ruled out since it was decided.

    Raises:
        NotYet: the root is held at another version, or quarantine keeps *release* out
            at *now*, which nobody *named*. For good keeps out what is to replace
            another one, not what runs and is only fetched again.
    """
    target = Installed(release.tag, release.identity, "", 0.0)
    refuse_held(state, target, named=named)
    entry = state.quarantine.blocking(release.tag, release.identity, now)
    if entry is None or named:
        return
    running = state.running
    if entry.until is not None or not (running and is_same(running, release)):
        raise NotYet(quarantined(entry))


def undone_by(
    newest: Release | None, release: Release, key: Callable[[str], Key | None]
) -> str:
    """
    Explain why polls, which find *newest*, would replace *release*; "" for the same.

    *key* orders versions. An older one is found where options exclude *release*.
    """
    if newest is None or newest.tag == release.tag:
        return ""
    found, deployed = key(newest.tag), key(release.tag)
    older = found is not None and deployed is not None and found < deployed
    return f"polls find {newest.tag}" if older else f"{newest.tag} is newer"


def quarantined(entry: QuarantineEntry) -> str:
    """Explain why and until when a version is kept out."""
    if entry.until is None:
        end = f"until it is replaced, or `dewy retry {entry.tag}`"
    else:
        end = f"until {utc(entry.until):%Y-%m-%d %H:%M:%S} UTC"
    return f"{entry.tag} is in quarantine {end}: {entry.reason}"
