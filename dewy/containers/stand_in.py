"""A kept version that serves in place of one whose image cannot be had."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from ..deploy.state import Installed, State
from ..deploy.state_store import StateStore
from ..errors import DewyError, EngineError
from ..logs import summary
from .image_store import ImageStore
from .replica_store import ReplicaStore

__all__ = ["StandIn"]

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds to pull the image of what runs, before another version steps in."""


class StandIn:
    """
    Fall-back to a version whose image is here, while nothing serves.

    The one that should run stays known as gone, and is deployed by a later poll.

    Attributes:
        told: Called with one line when another version has stepped in.
    """

    def __init__(
        self, store: ReplicaStore, image_store: ImageStore, state_store: StateStore
    ) -> None:
        self._store = store
        self._image_store = image_store
        self._state_store = state_store
        self.told: Callable[[str], None] = lambda text: None

    async def ensure(self, running: Installed) -> None:
        """
        Ensure that the image of *running* is on this host.

        Raises:
            EngineError: it is not, and could not be pulled; where nothing served,
                another version may be the running one from now on.
        """
        if await self._image_store.at_hand(running):
            return
        other = None if self._store.serving else await self._found()
        try:
            async with asyncio.timeout(PATIENCE if other else None):
                await self._image_store.ensure(running)
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
            if await self._image_store.at_hand(each):
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
        self.told(
            f"the image of {running.name} is gone: {why}; {other.name} runs until it "
            "can be had again"
        )
        self._store.changed.set()


def _stood_in(running: Installed, other: Installed, state: State) -> State:
    """Let *other* run in place of *running*, unless something else does by now."""
    return state.stood_in(other) if state.running == running else state
