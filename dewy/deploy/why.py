"""The reasons why a version runs, or does not (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..errors import NoRelease
from ..logs import summary
from ..release import Refusal, Release
from ..system import utc
from ..versions import precedence
from .history import ADOPTED, HOOK_FAILED, INTERRUPTED, Record
from .plan import Action, not_tried, plan, quarantined
from .state import State

__all__ = ["Explanation", "Looked", "explain"]

RUNS, CURRENT, WAITS, KEPT_OUT, HELD, PASSED_OVER, LEFT, FAILED, UNKNOWN = (
    "runs",
    "current",
    "waits",
    "quarantined",
    "held",
    "passed over",
    "left",
    "failed",
    "unknown",
)
RECORDS = 5
TAKEN_OVER = ("deployed", ADOPTED)


@dataclass(frozen=True, slots=True)
class Looked:
    """
    A registry's answer, for an explanation.

    Attributes:
        release: The release that it names, or None.

        refused: The versions passed over, each with the reason.

        problem: The reason why it named no release, or did not answer; "" where it did.

        coming: Versions without an artifact for this host yet, and until when each
            is waited for, seconds since the epoch.
    """

    release: Release | None = None
    refused: tuple[Refusal, ...] = ()
    problem: str = ""
    coming: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def found(cls, release: Release) -> Looked:
        """Return the answer that names *release*."""
        return cls(release, release.refused)

    @classmethod
    def failed(cls, exc: Exception) -> Looked:
        """Return the answer that names no release, for the reason *exc*."""
        refused = exc.refused if isinstance(exc, NoRelease) else ()
        return cls(None, refused, summary(exc))


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Attributes:
        verdict: `runs`, `current` (it would, but no dewy runs), `waits` (for the next
            poll, or start), `quarantined`, `held`, `passed over` (by the registry),
            `left` (it ran before), `failed` or `unknown`.

        why: Sentences, the most important first.

        records: The last deployments that were about it, oldest first.
    """

    verdict: str
    why: tuple[str, ...]
    records: tuple[Record, ...]


def explain(
    version: str,
    state: State,
    history: Sequence[Record],
    looked: Looked,
    now: float,
    *,
    alive: bool = True,
) -> Explanation:
    """
    Explain why *version* runs or not; *now* is seconds since the epoch.

    *alive* says that a dewy runs in the root.
    """
    found = [
        *(_running(version, state) if alive else _current(version, state)),
        *_wanted(version, state),
        *_gone(version, state),
        *_quarantine(version, state, looked, now),
        *_registry(version, state, looked, now),
        *_past(version, history),
    ]
    records = tuple(each for each in history if each.tag == version)[-RECORDS:]
    if not found:
        found = [(UNKNOWN, f"nothing is known of {version} here")]
    verdict = next((each for each, _ in found if each), UNKNOWN)
    why = [*(text for _, text in found), *_kept(version, state)]
    return Explanation(verdict, tuple(why), records)


Found = Iterator[tuple[str, str]]
"""A verdict, or "" where it is none, and a sentence."""


def _running(version: str, state: State) -> Found:
    running = state.running
    if running is not None and running.name == version:
        because = f": {state.because}" if state.because else ""
        yield RUNS, f"it has run since {_at(state.since)}{because}"


def _current(version: str, state: State) -> Found:
    """Yield what *state* says where no dewy runs, so that nobody knows what does."""
    for verdict, text in _running(version, state):
        told = text.replace("it has run", "it has been the current version", 1)
        yield CURRENT if verdict == RUNS else verdict, f"{told}; no dewy runs here"


def _wanted(version: str, state: State) -> Found:
    if state.wanted == version:
        yield WAITS, "an operator asked for it; the next poll deploys it"


def _gone(version: str, state: State) -> Found:
    running = state.running
    if running and state.gone and state.gone.name == version:
        until = f"{running.name} runs until it is fetched"
        yield WAITS, f"its files are gone from this host; {until}"


def _quarantine(version: str, state: State, looked: Looked, now: float) -> Found:
    newest = looked.release.tag if looked.release else ""
    for entry in state.quarantine.clamped(now):
        if entry.tag != version:
            continue
        waits = not_tried(state, version, newest, precedence) if entry.until else ""
        if entry.blocks(now):
            yield KEPT_OUT, quarantined(replace(entry, reason=entry.story))
            if waits:
                yield "", waits
        elif waits:
            yield "", f"{waits}; it failed: {entry.story}"
        else:
            yield "", f"it is due to be tried again after: {entry.story}"


def _registry(version: str, state: State, looked: Looked, now: float) -> Found:
    """Yield what *looked* says; an open answer is no verdict about what runs."""
    runs = state.running is not None and state.running.name == version
    release = looked.release
    if release is not None and release.tag == version:
        yield from _newest(state, release, now)
        return
    if until := looked.coming.get(version):
        yield (
            WAITS,
            (
                "the registry has nothing of it for this host yet; it is waited for "
                f"until {_at(until)} (--grace-period)"
            ),
        )
        return
    for refused in looked.refused:
        if refused.name == version:
            yield PASSED_OVER, f"the registry has it, but: {refused.reason}"
            return
    if release is not None:
        yield "", f"the registry does not name it; {release.tag} is newest there"
        if runs:
            yield "", plan(state, release, now).reason
    elif looked.problem:
        yield "", f"the registry says nothing of it: {looked.problem}"


def _newest(state: State, release: Release, now: float) -> Found:
    decided = plan(state, release, now)
    if decided.action is Action.DEPLOY:
        yield WAITS, "it is the registry's newest; the next poll deploys it"
    elif decided.action is Action.SKIP:
        yield "", "it is the registry's newest"
    elif state.hold:
        yield HELD, decided.reason


def _past(version: str, history: Sequence[Record]) -> Found:
    for record in reversed(history):
        if record.tag == version:
            yield _ended(record)
            break
    for record in reversed(history):
        if record.outcome == HOOK_FAILED:
            continue
        if version in (record.previous, record.tag):
            if record.previous == version and record.outcome in TAKEN_OVER:
                yield LEFT, f"{record.tag} took its place on {_at(record.at)}"
            break


def _ended(record: Record) -> tuple[str, str]:
    ran = record.outcome in (*TAKEN_OVER, "died", "reloaded", HOOK_FAILED, INTERRUPTED)
    text = f"it was {record.outcome} on {_at(record.at)}"
    if record.outcome == "failed":
        text = f"it failed at {record.step} on {_at(record.at)}"
    if record.outcome == "died":
        text = f"it died on {_at(record.at)} and was started again"
    if record.outcome == HOOK_FAILED:
        text = f"its deployment stands, but on {_at(record.at)} a hook failed"
    verdict = "" if ran else FAILED
    story = record.story
    return verdict, f"{text}: {story}" if story else text


def _kept(version: str, state: State) -> Iterator[str]:
    running = state.running
    if state.find(version) and (running is None or running.name != version):
        yield f"it is kept on this host; `dewy rollback {version}` goes to it"


def _at(seconds: float) -> str:
    return f"{utc(seconds):%Y-%m-%d %H:%M:%S} UTC"
