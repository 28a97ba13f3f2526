"""The version that runs, where the state misses it or its image cannot be had."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from ..deploy.state import Installed, State
from ..deploy.state_store import StateStore
from ..errors import DewyError, EngineError
from ..logs import summary
from .application import DEPLOYED_AT, ROOT
from .deployer import is_of
from .engines.decode import repository
from .image_store import FoundImage, ImageStore
from .model import Container
from .replica import Replica
from .replica_store import ReplicaStore

__all__ = [
    "StandIn",
    "deployed_meanwhile",
    "identify",
]

log = logging.getLogger(__name__)


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


PATIENCE = 30.0
"""Seconds to pull the image of what runs, before another version steps in."""


class StandIn:
    """
    Fall-back to a version whose image is here, while nothing serves.

    The one that should run stays known as gone, and is deployed by a later poll.

    Args:
        told: Called with one line when another version has stepped in.
    """

    def __init__(
        self,
        store: ReplicaStore,
        image_store: ImageStore,
        state_store: StateStore,
        told: Callable[[str], None],
    ) -> None:
        self._store = store
        self._image_store = image_store
        self._state_store = state_store
        self._told = told

    async def ensure(self, running: Installed) -> FoundImage:
        """
        Return the image of *running*, which is on this host from then on.

        Raises:
            EngineError: it is not, and could not be pulled; where nothing served,
                another version may be the running one from now on.
        """
        if found := await self._image_store.keep(running):
            return found
        other = None if self._store.serving else await self._found()
        try:
            async with asyncio.timeout(PATIENCE if other else None):
                return await self._image_store.ensure(running)
        except TimeoutError as exc:
            why = f"no image of {running.tag} within {PATIENCE:g} s"
            await self._step_in(other, running, why)
            raise EngineError(why) from exc
        except DewyError as exc:
            await self._step_in(other, running, summary(exc))
            raise

    async def _found(self) -> Installed | None:
        """Return the best version to go back to whose image is on this host."""
        for each in self._state_store.state.candidates():
            if await self._image_store.keep(each):
                return each
        return None

    async def _step_in(
        self, other: Installed | None, running: Installed, why: str
    ) -> None:
        if other is None or self._store.serving:
            return
        await self._state_store.note(partial(_stood_in, running, other))
        if self._state_store.state.running != other:
            # A change of version has been faster.
            return
        fields = {"tag": running.name, "instead": other.name, "error": why}
        log.warning("Image is gone, an earlier version serves", extra=fields)
        self._told(
            f"the image of {running.name} is gone: {why}; {other.name} runs until it "
            "is available again"
        )
        self._store.changed.set()


def _stood_in(running: Installed, other: Installed, state: State) -> State:
    """Let *other* run in place of *running*, unless something else does by now."""
    return state.stood_in(other) if state.running == running else state
