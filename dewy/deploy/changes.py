"""
Changes of version: one at a time, which can be cancelled until it commits.

A poll and an operator's verb both bring a version up through `ChangeSlot.run`.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import DewyError
from ..release import Release
from .deployer import Progress

log = logging.getLogger(__name__)

DONE = "done"
STEPS = {
    "fetch": "fetching {}",
    "before-hook": "running the before-deploy hook",
    "unpack": "unpacking {}",
    "start": "starting {}",
    DONE: "{} is deployed",
}
"""The steps in an operator's words; {} is the version."""


def new_id() -> str:
    """Return a new id, which names one deployment in the log and in the history."""
    return uuid.uuid4().hex[:12]


def _unheard(text: str) -> None:
    """Discard *text*: there is no listener."""


@dataclass(slots=True)
class Attempt:
    """
    Attributes:
        target: The version that shall run.

        previous: The one that ran before, or "".

        action: `deploy` or `rollback`.

        begun: Monotonic seconds.

        step: The last step reached; "" before the first.

        why: The reason or the person behind it, where it was not the registry.

        id: In every line of the log that is about it.

        over: True once nothing but the hooks is still to come.

        outcome, reason: The outcome and its reason, once ended; as in `Record`.

        marks: The steps reached, each with its time in monotonic seconds.

        progress: The last step in words, for `status`.

        listener: Told `progress` whenever it changes.
    """

    target: str
    previous: str
    action: str
    begun: float
    step: str = ""
    why: str = ""
    id: str = field(default_factory=new_id)
    over: bool = False
    outcome: str = ""
    reason: str = ""
    marks: list[tuple[str, float]] = field(default_factory=list, init=False)
    progress: str = field(default="", init=False)
    listener: Callable[[str], None] = _unheard

    def __post_init__(self) -> None:
        if self.step:
            self.mark(self.step)

    def mark(self, step: str) -> None:
        """Record that *step* was reached, for the trace alone."""
        self.step = step
        self.marks.append((step, time.monotonic() if self.marks else self.begun))

    def reach(self, step: str, *, idle: bool = False) -> None:
        """
        Record and log that *step* was reached.

        An *idle* step has nothing to do, so the listener does not hear of it.
        """
        begins = not self.step
        self.mark(step)
        self.advance(STEPS.get(step, step).format(self.target), news=not idle)
        if begins:
            log.info("Deployment started", extra=self.log_fields(action=self.action))
        elif step == DONE:
            log.info("Deployed", extra=self.log_fields())
        else:
            log.info("Deployment step", extra=self.log_fields())

    def advance(self, text: str, *, news: bool = True) -> None:
        """Note the progress within a step; *news* goes to the listener."""
        self.progress = text
        if news:
            self.listener(text)

    def note(self, text: str) -> None:
        """Log the progress within a step, as a phrase for people."""
        self.advance(text)
        log.info("Deployment progress", extra=self.log_fields(progress=text))

    def conclude(self, outcome: str = "", reason: str = "") -> None:
        """Note how it ended, with *outcome* and *reason* where that is recorded."""
        self.over, self.outcome, self.reason = True, outcome, reason

    def fail(self, error: str) -> None:
        """Log that the deployment failed at its step."""
        log.error("Deployment failed", extra=self.log_fields(error=error))

    def log_fields(self, **more: object) -> dict[str, object]:
        """Return the fields of log records about this deployment."""
        return {
            "deployment": self.id,
            "step": self.step,
            "tag": self.target,
            "from": self.previous,
            **more,
        }


T = TypeVar("T")
Step = Callable[[Attempt], Awaitable[None]]
STOPPED, LEFT = "dewy is stopping", "its client disconnected"
CUT_OFF = "something that it waited for was cancelled, not by dewy"

UNDOING = 5.0
"""Seconds for which whoever cancels a change waits until it is undone."""


class Busy(DewyError):
    """Another change of version is under way."""


class Cancelled(DewyError):
    """The change was cancelled before it committed; the running version goes on."""


class Change:
    """
    A change of version.

    Attributes:
        attempt: The record of the deployment.

        release: The release to deploy; None for a rollback to a kept one.

        hold: Whether to hold the root at the new version.

        committed: Whether the state names the new version, or is about to.

        cancelled: The reason for the cancellation; "" unless cancelled.

        error: The failure, which is being undone; None without one.
    """

    def __init__(
        self,
        attempt: Attempt,
        release: Release | None = None,
        *,
        hold: bool = False,
    ) -> None:
        self.attempt = attempt
        self.release = release
        self.hold = hold
        self.committed = False
        self.cancelled = ""
        self.error: Exception | None = None
        self._task: asyncio.Task[Any] | None = None

    def commit(self) -> None:
        """
        Commit: from here on the change cannot be cancelled.

        Raises:
            Cancelled: the change was cancelled before.
        """
        if self.cancelled:
            raise Cancelled(self.cancelled)
        self.committed = True

    def fail(self, error: Exception) -> None:
        """Note the failure; a cancellation from now on only shortens the undoing."""
        self.error = error

    def revert(self, error: Exception) -> None:
        """Remember that it failed to commit: the disk may have refused that."""
        self.fail(error)
        self.committed = False

    def began(self, task: asyncio.Task[Any]) -> None:
        """Know its work as *task* from now on."""
        self._task = task

    def cancel(self, reason: str) -> None:
        """Cancel the change, unless it has committed; undoing it takes a while."""
        if self._task is None or self.committed or self.cancelled:
            # A second one would interrupt the undoing.
            return
        self.cancelled = reason
        self._task.cancel()

    async def finished(self, seconds: float | None = None) -> bool:
        """
        Wait until the change is over, for *seconds* at most; return whether it is.
        """
        if self._task is None:
            return True
        done, _ = await asyncio.wait({self._task}, timeout=seconds)
        return bool(done)

    @property
    def failure(self) -> BaseException | None:
        """The reason for a failure, None after a success; only valid once finished."""
        assert self._task is not None
        return Cancelled(self.cancelled) if self.cancelled else self._task.exception()


async def _nothing(attempt: Attempt) -> None:
    """Do nothing: no change is written down."""


class ChangeSlot:
    """
    Slot for the one change of version under way.

    Args:
        begin: Awaited before the work of a change begins.

        forget: Awaited after a change that did not commit.

    Attributes:
        current: The change under way; None once it is over or was cancelled.
    """

    def __init__(self, begin: Step = _nothing, forget: Step = _nothing) -> None:
        self._begin = begin
        self._forget = forget
        self.current: Change | None = None
        self._listeners: list[Progress] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False

    @property
    def pending(self) -> Change | None:
        """The change under way if it can still be cancelled."""
        change = self.current
        return None if change is None or change.committed else change

    async def run(
        self,
        change: Change,
        work: Callable[[Change], Coroutine[Any, Any, T]],
        preempt: str = "",
    ) -> T:
        """
        Run *work* as the change under way and return its result.

        A non-empty *preempt* is the reason to cancel the change under way first.

        If the caller is cancelled, so is the change, unless it has committed; the call
        waits for its end in either case.

        Raises:
            Busy: another change is under way.
            Cancelled: the change was cancelled before it committed, or dewy stops.
        """
        while self.current is not None:
            if not preempt:
                raise Busy(f"{self.current.attempt.target} is being deployed")
            await self.cancel(preempt)
            await self.settled()
        if self._stopped:
            raise Cancelled(STOPPED)
        self.current = change
        name = f"{change.attempt.action} {change.attempt.target}"
        task = asyncio.create_task(self._work(change, work), name=name)
        change.began(task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            change.cancel(LEFT if preempt else STOPPED)
            await _ended(task)
            raise
        finally:
            self._release(change)
        if task.cancelled():
            raise Cancelled(change.cancelled or CUT_OFF)
        return task.result()

    async def _work(
        self, change: Change, work: Callable[[Change], Coroutine[Any, Any, T]]
    ) -> T:
        try:
            await self._begin(change.attempt)
            return await work(change)
        finally:
            if not change.committed:
                await self._forget(change.attempt)

    async def cancel(self, reason: str) -> Change | None:
        """
        Cancel the change under way and return it; None if there is none to cancel.

        From then on it cannot commit. After a short wait, not necessarily to its end,
        another change may run.
        """
        change = self.pending
        if change is None:
            return None
        change.cancel(reason)
        if not await change.finished(UNDOING):
            self.publish(f"undoing {change.attempt.target} goes on")
        self._release(change)
        return change

    async def settled(self) -> None:
        """Return once no change is between its commit and its end."""
        while (change := self.current) is not None and change.committed:
            await change.finished()
            self._release(change)

    def advance(self, tag: str, text: str, news: bool) -> None:
        """Note the progress of the fetch of *tag*; *news* goes to the listeners."""
        change = self.current
        if change is not None and change.attempt.target == tag:
            change.attempt.advance(text, news=news)

    async def stop(self) -> None:
        """
        Cancel the change under way unless it has committed, and refuse others.

        Return once no change is running; idempotent.
        """
        self._stopped = True
        if self.current is not None:
            self.current.cancel(STOPPED)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def publish(self, text: str) -> None:
        """Send a step to the listeners."""
        for listener in list(self._listeners):
            try:
                listener(text)
            except Exception:
                # A mere listener must not make a change fail.
                log.exception("Listener of a deployment ran into a fault")

    @contextmanager
    def listening(self, progress: Progress) -> Iterator[None]:
        """Send the steps of every change to *progress* while in the block."""
        self._listeners.append(progress)
        try:
            yield
        finally:
            self._listeners.remove(progress)

    def _release(self, change: Change) -> None:
        if self.current is change:
            self.current = None


async def _ended(task: asyncio.Task[Any]) -> None:
    """Wait for *task*, cancelled as we are; a second cancellation changes nothing."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue
    if not task.cancelled():
        task.exception()  # asked for, or the loop complains that nobody did
