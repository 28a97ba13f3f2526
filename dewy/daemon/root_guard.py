"""Comparison of dewy's state with its root, before each poll."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from ..admin.control import ControlServer
from ..deploy.lock import RootLock
from ..deploy.state_store import StateStore
from ..errors import DewyError

__all__ = ["RootGuard"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RootGuard:
    """
    Guard that restores what was removed from `.dewy` under a running dewy.

    A control socket that could not be opened, as on a file system that was read-only,
    is opened once it can be.
    """

    lock: RootLock
    state_store: StateStore
    control: ControlServer

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
        if not self.control.listens:
            await self._listen()
        elif await self.control.restore():
            restored.append("socket")
        if restored:
            log.warning(
                "Restored what was removed from the root",
                extra={"restored": restored, "directory": str(self.lock.private)},
            )

    async def _listen(self) -> None:
        with suppress(DewyError, OSError):
            await self.control.__aenter__()
            await asyncio.to_thread(self.lock.tell, "")
            log.info("Control socket opened", extra={"socket": str(self.control.path)})
