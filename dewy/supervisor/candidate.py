"""New generation of an open switch, started beside the one that serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .worker import Worker

__all__ = ["Candidate", "Step"]

Step = Callable[[], Awaitable[None]]


class Candidate:
    """
    New generation of an open switch.

    Args:
        start: Starts the generation of the candidate it is given.

    Attributes:
        place: Points `current` at the release to start from.

        progress: Called with a phrase for the operator at each step.

        checked: Whether it has to answer its health check to be ready.

        worker: The generation, once it was started.

        ready: Whether it enters service as soon as the switch is left.

        over: Set when the switch was left.

        changes: Whether it belongs to another release than the one that runs.
    """

    def __init__(
        self,
        start: Callable[[Candidate], Awaitable[None]],
        place: Step,
        progress: Callable[[str], None],
    ) -> None:
        self._start = start
        self.place = place
        self.progress = progress
        self.checked = True
        self.changes = False
        self.worker: Worker | None = None
        self.ready = False
        self.over = asyncio.Event()

    async def start(self) -> None:
        """
        Start the generation; return once it is ready and healthy.

        Raises:
            StartFailed: the generation does not get ready.
        """
        await self._start(self)
