"""Deciding what to do about the release a registry names (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import NoRelease
from ..release import Release
from ..system import utc
from .quarantine import Entry
from .state import Installed, State


class Action(Enum):
    """What a tick does."""

    SKIP = "skip"
    WAIT = "wait"
    DEPLOY = "deploy"


@dataclass(frozen=True, slots=True)
class Decision:
    """An action, and why, for `status` and the log."""

    action: Action
    reason: str


def plan(state: State, release: Release, now: float) -> Decision:
    """
    What to do, with *release* the newest and *now* seconds since the epoch.

    A version in quarantine is waited for; nothing older takes its place.
    Healing is not decided here: whoever runs the program does that at once.
    """
    running = state.running
    if running is not None and is_same(running, release):
        return Decision(Action.SKIP, f"{release.tag} runs")
    if state.hold and running is not None:
        return Decision(Action.WAIT, f"held at {running.name}; {release.tag} is newest")
    entry = state.quarantine.blocking(release.tag, release.identity, now)
    if entry is not None:
        return Decision(Action.WAIT, quarantined(entry))
    return Decision(Action.DEPLOY, f"{release.tag} is new")


def is_same(running: Installed, release: Release) -> bool:
    """
    Whether *running* is *release*.

    The tag alone is not enough, for artifacts are replaced under their tag; what
    the original left behind has nothing but its tag.
    """
    return running.tag == release.tag and running.identity in ("", release.identity)


def in_grace(missing: NoRelease, now: float, grace: float) -> bool:
    """Whether what is *missing* was published less than *grace* seconds ago."""
    # A clock that is ahead, here or there, must not keep it on its way for ever.
    return missing.since is not None and abs(now - missing.since.timestamp()) < grace


def is_met(state: State, newest: Release | None) -> bool:
    """Whether *newest*, which the registry names, runs, or a person keeps it out."""
    running = state.running
    if running is None or newest is None:
        return False
    entry = state.quarantine.find(newest.tag, newest.identity)
    kept_out = state.hold or bool(entry and entry.by)
    return kept_out or is_same(running, newest)


def quarantined(entry: Entry) -> str:
    """Why and until when a version is kept out."""
    if entry.until is None:
        end = f"until it is replaced, or `dewy retry {entry.tag}`"
    else:
        end = f"until {utc(entry.until):%Y-%m-%d %H:%M:%S} UTC"
    return f"{entry.tag} is in quarantine {end}: {entry.reason}"
