"""
The operators' verbs, as changes of the state (pure).

Each takes a state and returns the new one with a sentence for the operator, or raises
DewyError with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from ..errors import DewyError
from ..system import Clock
from ..versions import Key, precedence
from .quarantine import Quarantine
from .state import Installed, State

Outcome = tuple[State, str]

NEWEST = "the newest release when it was deployed"
ASKED_FOR = "asked for by operator"
BY_OPERATOR = "rolled back by operator"


def hold(state: State) -> Outcome:
    """Forbid any change of version until `unhold`."""
    held = (
        f"held at {state.running.name}"
        if state.running
        else "held, but nothing runs: the first release is still deployed"
    )
    held_at = replace(state, hold=True, provisional=False, gone=None)
    return held_at, f"{held}; `dewy unhold` ends it"


def unhold(state: State) -> Outcome:
    """End the hold: newer releases are deployed again."""
    if not state.hold:
        return state, "was not held"
    return replace(
        state, hold=False, provisional=False
    ), "no longer held; the next poll deploys what is new"


def retry(
    state: State,
    tag: str,
    key: Callable[[str], Key | None] = precedence,
    newest: str = "",
) -> Outcome:
    """
    Take *tag* out of quarantine.

    *key* orders versions; *newest* is the newest one in the registry, if known.

    Raises:
        DewyError: *tag* is not in quarantine.
    """
    tags = list(dict.fromkeys(entry.tag for entry in state.quarantine))
    if tag not in tags:
        raise DewyError(
            f"{tag} is not in quarantine ({_listed('in it', tags) or 'it is empty'})"
        )
    after = replace(state, quarantine=state.quarantine.release(tag))
    first = _waited_for(after, tag, key, newest)
    if first:
        ends = (
            f"but not deployed while {first}, which is newer, is in quarantine; "
            f"`dewy deploy {tag}` deploys it"
        )
    else:
        ends = "it is deployed again if it is the newest"
    return after, f"{tag} is out of quarantine; {ends}"


def _waited_for(
    state: State, tag: str, key: Callable[[str], Key | None], newest: str
) -> str:
    """Return the version in quarantine that polls wait for instead of *tag*, or ""."""
    running, own = state.running, key(tag)
    if running is None or state.is_stopgap or running.tag == tag or own is None:
        return ""
    kept_out = [
        each.tag for each in state.quarantine if not newest or each.tag == newest
    ]
    above = {each: found for each in kept_out if (found := key(each)) and found > own}
    return max(above, key=lambda each: above[each], default="")


def rollback(
    state: State, tag: str | None, clock: Clock, missing: Collection[Installed] = ()
) -> Outcome:
    """
    Go back to the kept release *tag*, or to the previous one, even under hold.

    The files of *missing* are gone: they are passed over. What is left goes into
    quarantine without expiry; what is gone back to comes out of it. What has no name
    cannot be kept out by it: the root is held.

    If *state* has a release whose files are gone, and another one in its place, the
    rollback stays at that one.

    Raises:
        DewyError: the release does not exist on this host.
    """
    running, gone = state.running, state.gone
    if running and gone and gone.tag and tag in (None, running.name):
        return stay(state, clock), f"{running.name} keeps running{_stays_out(gone)}"
    target = _kept(state, tag, missing) if tag else _previous(state, missing)
    quarantine = state.quarantine.succeeded(target.tag, target.identity)
    left = [each for each in (running, gone) if each and each.tag]
    for each in left:
        quarantine = _left(quarantine, each, clock)
    # The serving release is never the first to be pruned: it goes to the front.
    back = state.deployed(target, len(state.installed), clock.wall())
    message = f"rolled back to {target.name}"
    if not tag and (passed := _passed_over(state, missing)):
        message += f"; passed over, for not on this host: {passed}"
    message += "".join(map(_stays_out, left))
    unnamed = running is not None and not running.tag
    if unnamed:
        message += "; held, for what was left has no version; `dewy unhold` ends it"
    back = replace(back, hold=state.hold or unnamed, provisional=False)
    return replace(back, quarantine=quarantine, wanted="", because=BY_OPERATOR), message


def stay(state: State, clock: Clock) -> State:
    """Return *state* without the release that is gone; its replacement stays."""
    gone = state.gone
    if gone is None:
        return state
    return replace(
        state,
        quarantine=_left(state.quarantine, gone, clock),
        gone=None,
        wanted="",
        because=BY_OPERATOR,
        back_at=clock.wall(),
        provisional=False,
    )


def to_pass_over(
    state: State, gone: Collection[Installed], away: Collection[Installed]
) -> list[Installed]:
    """
    Return the releases that a rollback to the previous one passes over.

    Those in *gone* are not available; those in *away* are not on this host, and are
    targets only if there is no other.
    """
    both = [*gone, *away]
    return both if state.rollback_target(both) else [*gone]


def deploy(state: State, tag: str | None) -> Outcome:
    """
    Deploy *tag*, or the newest release, when dewy starts.

    Raises:
        DewyError: the root is on hold. A provisional hold does not keep out a version
            that is named.
    """
    if state.hold and not (tag and state.provisional):
        raise DewyError(
            "this root is on hold; run `dewy unhold` first, or `dewy rollback "
            "VERSION` for a version that it had"
        )
    if not tag:
        return (
            replace(state, wanted=""),
            "no dewy runs here; the next start deploys the newest release anyway",
        )
    released = state.quarantine.release(tag)
    return (
        replace(state, wanted=tag, quarantine=released),
        f"no dewy runs here; the next start deploys {tag}",
    )


def confirm(state: State, *, hold: bool) -> State:
    """
    Return *state* after an operator requested the running version by its name.

    It stays, whatever kept it out; with *hold*, it is provisionally held.
    """
    running, quarantine = state.running, state.quarantine
    if running is not None:
        quarantine = quarantine.succeeded(running.tag, running.identity)
    return replace(
        provisionally_held(state) if hold else state,
        quarantine=quarantine,
        wanted="",
        gone=None,
    )


def provisionally_held(state: State) -> State:
    """Return *state* held provisionally, unless it was held before."""
    ours = state.provisional or not state.hold
    return replace(state, hold=True, provisional=ours)


def settle(state: State, tag: str, *, newest: bool) -> State:
    """
    Return *state* with a provisional hold at *tag* made permanent, or removed if
    *newest*.
    """
    running = state.running
    if not state.provisional or running is None or running.tag != tag:
        return state
    return replace(state, hold=not newest, provisional=False)


def _left(quarantine: Quarantine, left: Installed, clock: Clock) -> Quarantine:
    return quarantine.add(
        left.tag, left.identity, BY_OPERATOR, clock, traffic=True, by="operator"
    )


def _stays_out(left: Installed) -> str:
    return f"; {left.name} stays out until `dewy retry {left.name}`"


def _previous(state: State, missing: Collection[Installed]) -> Installed:
    found = state.rollback_target(missing)
    if found is not None:
        return found
    others = [i for i in state.installed if i != state.running]
    kept_out = [i.name for i in others if state.is_bad(i)]
    rest = [i for i in others if not state.is_bad(i)]
    gone = [i.name for i in rest if i in missing]
    later = [i.name for i in rest if i not in missing]
    reasons = [
        _listed("in quarantine", kept_out),
        _listed("gone from disk", gone),
        _listed("deployed later", later),
    ]
    why = "; ".join(filter(None, reasons)) or "no other release is kept on this host"
    bad = [i.name for i in others if i not in missing and state.is_bad(i)]
    if there := [*later, *bad]:
        why += f"; `dewy rollback {there[0]}` goes there all the same"
    raise DewyError(f"there is nothing to roll back to: {why}")


def _passed_over(state: State, missing: Collection[Installed]) -> str:
    """Return the names of those of *missing* that would have been gone back to."""
    without = {each: [m for m in missing if m != each] for each in missing}
    better = (e for e, rest in without.items() if state.rollback_target(rest) == e)
    return ", ".join(each.name for each in better)


def _kept(state: State, tag: str, missing: Collection[Installed]) -> Installed:
    others = [i for i in state.installed if i != state.running]
    named = [i for i in others if i.name == tag]
    if there := [i for i in named if i not in missing]:
        return there[0]
    if named:
        raise DewyError(f"the files of {tag} are gone from this host")
    if state.running is not None and state.running.name == tag:
        raise DewyError(f"{tag} runs already")
    names = [i.name for i in others]
    kept = _listed("kept", names) or "no other release is kept"
    raise DewyError(f"{tag} is not on this host ({kept})")


def _listed(what: str, names: list[str]) -> str:
    return f"{what}: {', '.join(names)}" if names else ""
