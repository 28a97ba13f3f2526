"""
The operators' verbs, as changes of the state (pure).

Each takes a state and returns the new one with a sentence for whoever asked,
or raises DewyError with the reason why not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..errors import DewyError
from ..system import Clock
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
    return replace(state, hold=True, gone=None), f"{held}; `dewy unhold` ends it"


def unhold(state: State) -> Outcome:
    """Newer releases are deployed again."""
    if not state.hold:
        return state, "was not held"
    return replace(
        state, hold=False
    ), "no longer held; the next poll deploys what is new"


def retry(state: State, tag: str) -> Outcome:
    """
    Let *tag* out of quarantine.

    Raises:
        DewyError: *tag* is not in quarantine.
    """
    tags = list(dict.fromkeys(entry.tag for entry in state.quarantine))
    if tag not in tags:
        raise DewyError(
            f"{tag} is not in quarantine ({_listed('in it', tags) or 'it is empty'})"
        )
    return (
        replace(state, quarantine=state.quarantine.release(tag)),
        f"{tag} is out of quarantine; it is deployed again if it is the newest",
    )


def rollback(
    state: State, tag: str | None, clock: Clock, missing: Collection[Installed] = ()
) -> Outcome:
    """
    Go back to the kept release *tag*, or to the previous one, even under hold.

    The files of *missing* are gone: they are passed over. What is left goes into
    quarantine without expiry; what is gone back to comes out of it.

    Raises:
        DewyError: the release does not exist on this host.
    """
    target = _kept(state, tag) if tag else _previous(state, missing)
    quarantine = state.quarantine.succeeded(target.tag, target.identity)
    left = state.running if state.running and state.running.tag else None
    if left is not None:
        quarantine = quarantine.add(
            left.tag,
            left.identity,
            BY_OPERATOR,
            clock,
            traffic=True,
            by="operator",
        )
    # The serving release is never the first to be pruned: it goes to the front.
    back = state.deployed(target, len(state.installed), clock.wall())
    message = f"rolled back to {target.name}"
    if left is not None:
        message += f"; {left.name} stays out until `dewy retry {left.name}`"
    return replace(back, quarantine=quarantine, wanted="", because=BY_OPERATOR), message


def deploy(state: State, tag: str | None) -> Outcome:
    """
    Deploy *tag*, or the newest release, when dewy starts.

    Raises:
        DewyError: the root is on hold.
    """
    if state.hold:
        raise DewyError(
            "this root is on hold; say `dewy unhold` first, "
            "or `dewy rollback VERSION` for a version it had"
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


def _previous(state: State, missing: Collection[Installed]) -> Installed:
    found = next(state.candidates(missing), None)
    if found is not None:
        return found
    others = [i for i in state.installed if i != state.running]
    kept_out = [i.name for i in others if state.is_bad(i)]
    gone = [i.name for i in others if i in missing and not state.is_bad(i)]
    reasons = [_listed("in quarantine", kept_out), _listed("gone from disk", gone)]
    why = "; ".join(filter(None, reasons)) or "no other release is kept on this host"
    raise DewyError(f"there is nothing to roll back to: {why}")


def _kept(state: State, tag: str) -> Installed:
    others = [i for i in state.installed if i != state.running]
    for candidate in others:
        if candidate.name == tag:
            return candidate
    if state.running is not None and state.running.name == tag:
        raise DewyError(f"{tag} runs already")
    names = [i.name for i in others]
    kept = _listed("kept", names) or "no other release is kept"
    raise DewyError(f"{tag} is not on this host ({kept})")


def _listed(what: str, names: list[str]) -> str:
    return f"{what}: {', '.join(names)}" if names else ""
