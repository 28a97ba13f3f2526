"""A new generation of an open switch, and the decision that it has started."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..errors import StartFailed
from .policy import Policy
from .worker import Worker

__all__ = [
    "Candidate",
    "Step",
    "wait_executed",
    "wait_ready",
]

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

        ready: Set when it enters service as soon as the switch is left.

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
        self.ready = asyncio.Event()
        self.over = asyncio.Event()

    async def start(self, place: Step | None = None, *, checked: bool = True) -> None:
        """
        Start the generation; return once it is ready, and healthy if *checked*.

        It is of another release than the one that runs where *place* points `current`
        at that.

        Raises:
            StartFailed: the generation does not get ready.
        """
        self.checked = checked
        if place:
            self.place, self.changes = place, True
        await self._start(self)

    def begin(self, worker: Worker) -> None:
        """Begin with *worker*, which ends with the switch if that fails."""
        self.worker = worker
        self.progress(f"generation {worker.generation} is starting")


async def wait_executed(worker: Worker, policy: Policy, program: str) -> None:
    """
    Return once *worker* has become *program*.

    Raises:
        StartFailed: it could not, or did not in time: a mount that hangs does that.
    """
    limit = policy.start_timeout
    try:
        async with asyncio.timeout(limit):
            await worker.go(program)
    except TimeoutError as exc:
        text = f"{program} was not executed within {limit:g} s: its file system hangs"
        raise StartFailed(text, host=True) from exc


async def wait_ready(worker: Worker, policy: Policy, *, notifies: bool) -> None:
    """
    Return once *worker* counts as started.

    READY=1 always does. It is required with `--ready notify`, and with `auto`
    once any generation of this root has sent it (*notifies*); otherwise being
    alive for the grace period is enough.

    Raises:
        StartFailed: the worker ended, or did not get ready in time.
    """
    required = policy.ready == "notify" or (policy.ready == "auto" and notifies)
    waiting = _told(worker, policy) if required else _lives(worker, policy)
    await worker.unless_ended(waiting)


async def _told(worker: Worker, policy: Policy) -> None:
    deadline = worker.loop.time() + policy.start_timeout
    while not worker.notify.ready.is_set():
        remaining = max(deadline, worker.notify.extended_until) - worker.loop.time()
        if remaining <= 0:
            raise worker.failure(
                f"did not send READY=1 within {policy.start_timeout:g} s"
            )
        await _wait(worker.notify.ready, remaining)


async def _lives(worker: Worker, policy: Policy) -> None:
    if policy.ready == "grace":
        await asyncio.sleep(policy.start_grace)
    else:
        await _wait(worker.notify.ready, policy.start_grace)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
