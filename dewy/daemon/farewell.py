"""Last delivery of telemetry, beside all else that ends."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

__all__ = ["Farewell"]

log = logging.getLogger(__name__)


class Farewell:
    """
    Context of *telemetry*, whose end may begin before this one's.

    What only tells holds up neither programs nor listeners.
    """

    def __init__(self, telemetry: AbstractAsyncContextManager[Any]) -> None:
        self._telemetry = telemetry
        self._ending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._telemetry.__aenter__()
        return self

    def begin(self) -> None:
        """Begin the end in a task of its own; idempotent."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="last telemetry")

    async def __aexit__(self, *exc_info: object) -> None:
        self.begin()
        assert self._ending is not None
        await asyncio.wait({self._ending})
        if (fault := self._ending.exception()) is not None:
            log.error("Last telemetry ran into a fault", exc_info=fault)

    async def _end(self) -> None:
        await self._telemetry.__aexit__(None, None, None)
