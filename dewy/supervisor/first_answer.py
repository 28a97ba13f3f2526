"""The first answer of a generation, by which it is known to serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import StartFailed
from ..histogram import Checks
from .policy import Policy
from .probe import Probe, wait_healthy
from .processes import Endpoint
from .worker import Worker, cancel

__all__ = ["FirstAnswer", "answering"]


async def answering(
    worker: Worker, address: Endpoint, policy: Policy, checks: Checks, good: int = 2
) -> None:
    """
    Return once *worker* has given *good* good answers in a row at the health path.

    Raises:
        StartFailed: it ended, or did not within the policy's health time-out.
    """
    probe = Probe(
        policy.health_path, policy.health_timeout, good, host=policy.health_host
    )
    healthy = wait_healthy(address, probe, worker.pid, checks)
    await worker.unless_ended(healthy)


class FirstAnswer:
    """
    Wait for the first answer of the generation that took over last.

    One that is started where nothing serves takes over at once, and its clients wait in
    the queue of the listeners until it answers.

    Args:
        serves: Called with the generation once it has answered, or said READY=1.

    Attributes:
        missed: Generation that gave none within the health time-out.
    """

    def __init__(self, serves: Callable[[Worker], None]) -> None:
        self._serves = serves
        self.missed: Worker | None = None
        self._task: asyncio.Task[None] | None = None

    def expect(
        self, worker: Worker, address: Endpoint, policy: Policy, checks: Checks
    ) -> None:
        """Wait for the one of *worker* from now on, and no longer for any other."""
        if self._task:
            self._task.cancel()
        self._task = asyncio.create_task(
            self._wait(worker, address, policy, checks), name="first answer"
        )

    async def close(self) -> None:
        """Wait no longer; idempotent."""
        if self._task:
            await cancel(self._task)

    async def _wait(
        self, worker: Worker, address: Endpoint, policy: Policy, checks: Checks
    ) -> None:
        ready = asyncio.create_task(worker.notify.ready.wait(), name="first READY=1")
        answer = asyncio.create_task(
            answering(worker, address, policy, checks, good=1), name="health check"
        )
        try:
            await asyncio.wait({ready, answer}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                answer.result()
            self._serves(worker)
        except StartFailed:
            self.missed = worker
        finally:
            await cancel(ready)
            await cancel(answer)
