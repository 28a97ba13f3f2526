"""The version that containers found at the start run, where the state misses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from ..deploy.state import Installed, State
from .application import DEPLOYED_AT, ROOT
from .deployer import is_of
from .engines.decode import repository
from .model import Container
from .replica import Replica
from .replica_store import ReplicaStore

__all__ = ["deployed_meanwhile", "identify"]


async def identify(
    store: ReplicaStore, now: float, *, first: bool = True
) -> Installed | None:
    """
    Return the version of most serving replicas, where the state names none.

    None where no replica serves, or where the digest cannot be determined. *now* is
    in seconds since the epoch. Unless this dewy is the *first* in its root,
    unhealthy replicas do not count: their deployment never committed.
    """
    every = store.serving
    serving = [each for each in every if first or each.health_tracker.healthy]
    return await _version(store, serving, now)


async def deployed_meanwhile(
    store: ReplicaStore, state: State, now: float
) -> Installed | None:
    """
    Return the version that another program has put in the place of *state*'s; or None.

    Its containers serve, are younger than what *state* says, and nothing is left of
    that. Versions in quarantine do not count.
    """
    running = state.running
    if running is None or any(is_of(each, running) for each in store.replicas):
        return None
    strange = [
        each
        for each in store.serving
        if _is_strange(each, store.application.root)
        and _deployed_at(each.container) >= int(state.since)
    ]
    found = await _version(store, strange, now)
    return None if found is None or state.is_bad(found) else found


async def _version(
    store: ReplicaStore, replicas: Sequence[Replica], now: float
) -> Installed | None:
    for tag, _ in Counter(each.version for each in replicas).most_common():
        replica = next(each for each in replicas if each.version == tag)
        digest = replica.digest or await _digest(store, replica.container)
        if tag and digest:
            return Installed(tag, digest, "", now)
    return None


async def _digest(store: ReplicaStore, container: Container) -> str:
    """
    Return the digest of *container*'s image; "" if the engine does not know it.
    """
    image = await store.engine.image(container.image_id)
    ours = store.application.repository
    for reference in image.digests if image else ():
        if repository(reference) == ours:
            return reference.partition("@")[2]
    return ""


def _is_strange(replica: Replica, root: str) -> bool:
    """Return whether the original, or the dewy of another root, made *replica*."""
    maker = replica.container.labels.get(ROOT, "")
    return maker != root if maker else not replica.digest


def _deployed_at(container: Container) -> float:
    """Return when *container* was deployed, in seconds since the epoch; else 0."""
    try:
        told = container.labels.get(DEPLOYED_AT, "")
        return datetime.fromisoformat(told).timestamp()
    except (ValueError, OverflowError):
        return 0.0
