"""Comparison of dewy's state with its root, before each poll."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from ..admin.control import ControlServer
from ..deploy.lock import RootLock
from ..deploy.state_store import StateStore

__all__ = ["RootGuard"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RootGuard:
    """
    Guard that restores what was removed from `.dewy` under a running dewy.

    Attributes:
        control: The control socket; None where it could not be opened.
    """

    lock: RootLock
    state_store: StateStore
    control: ControlServer | None

    async def restore(self) -> None:
        """
        Bring back the directory, the lock, the state and the socket.

        Raises:
            RootBusy: the root was taken by another dewy meanwhile.
            OSError: the directory cannot be written.
        """
        restored = []
        if await asyncio.to_thread(self.lock.restore):
            restored.append("lock")
        if await self.state_store.restore():
            restored.append("state")
        if self.control and await self.control.restore():
            restored.append("socket")
        if restored:
            log.warning(
                "Restored what was removed from the root",
                extra={"restored": restored, "directory": str(self.lock.private)},
            )
