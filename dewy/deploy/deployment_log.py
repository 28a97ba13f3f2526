"""Log of deployments: history and notices, without delaying a deployment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Self

from ..errors import DeploymentError, DewyError
from ..logs import detail_of, detailed, struck, summary, words_of
from ..notifiers import Hook, Notice, NoticeKind, Notifier
from ..notifiers.format import tail as shortened
from ..notifiers.pipeline import Pipeline
from ..system import Clock, completed
from .changes import Attempt
from .history import HOOK_FAILED, INTERRUPTED, History, Record, Underway, UnderwayFile
from .quarantine import is_verdict

log = logging.getLogger(__name__)

LINES = (
    ("Fetched ", "Download notification"),
    ("Server started ", "Start notification"),
    ("Server restarted ", "Restart notification"),
    ("Container deployed:", "Deploy notification"),
)
"""Log messages of the original, by how the notice begins that each is about."""

POLL_FAILED = "Poll failed"
AGAIN = {"Root check failed": "Root check succeeds again"}
"""Notices of the end of what was told, where it is not polls."""

DELIVERY = 10.0
FAREWELL = 15.0
WAITING = 1000
ROW = 600.0

Tail = tuple[str, ...]
Watcher = Callable[[Attempt], None]


class DeploymentLog:
    """
    The history of a root, and the notifiers for its events.

    Notices are delivered in order by one task, to all notifiers at a time; a
    deployment never waits for them. Leaving waits a little for what is left.

    Attributes:
        pipelines: The pipelines of the notifiers, with their health.

        recorded: Called with every attempt whose outcome is known.

        over: Called with every attempt whose follow-up is over.
    """

    def __init__(
        self, history: History, notifiers: Sequence[Notifier], clock: Clock
    ) -> None:
        self._history = history
        self._file = UnderwayFile(history.path.parent)
        self._underway = ""
        self._clock = clock
        self._notifiers = tuple(notifiers)
        self._living: list[AbstractAsyncContextManager[object]] = [
            each for each in notifiers if isinstance(each, AbstractAsyncContextManager)
        ]
        self.pipelines = [each for each in notifiers if isinstance(each, Pipeline)]
        self._queue: asyncio.Queue[Notice] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None
        self._told: BaseException | None = None
        self._troubled: set[str] = set()
        self._trouble: tuple[str, str, str] | None = None
        self._bad = ("", 0.0)
        self.recorded: list[Watcher] = []
        self.over: list[Watcher] = []

    async def __aenter__(self) -> Self:
        for notifier in self._living:
            await notifier.__aenter__()
        self._task = asyncio.create_task(self._deliver(), name="notices")
        return self

    def troubles(self) -> list[str]:
        """Return a phrase for each notifier whose last attempt failed."""
        return [each.trouble for each in self.pipelines if each.trouble]

    def leave(self, *, hurry: bool = False) -> None:
        """
        Begin to stop: each notice is attempted once from now on; idempotent.

        In a *hurry* only targets that took their last notice are waited for.
        """
        for each in self.pipelines:
            each.leave(hurry=hurry)

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        try:
            async with asyncio.timeout(FAREWELL):
                await self._queue.join()
        except TimeoutError:
            log.warning("Notices lost", extra={"count": self._queue.qsize()})
        finally:
            self._task.cancel()
            await asyncio.wait({self._task})
            leaving = (each.__aexit__(None, None, None) for each in self._living)
            await asyncio.gather(*leaving)

    async def begin(self, attempt: Attempt) -> None:
        """Record that *attempt* is under way, so that the next dewy can report it."""
        self._underway = attempt.id
        found = Underway(
            attempt.id,
            attempt.target,
            attempt.previous,
            attempt.action,
            self._clock.wall(),
        )
        await completed(asyncio.to_thread(self._file.write, found))

    async def forget(self, attempt: Attempt) -> None:
        """Remove the record that *attempt* is under way."""
        if attempt.id == self._underway:
            self._underway = ""
            await completed(asyncio.to_thread(self._file.clear))

    async def tell_interrupted(self, runs: str, since: float) -> None:
        """
        Record the change in which the last dewy was killed, if any.

        *runs* names the version that runs by the state, *since* when.
        """
        found = await asyncio.to_thread(self._file.read)
        if found is None:
            return
        written = await asyncio.to_thread(self._history.read)
        if found.id not in {each.id for each in written}:
            done = found.tag == runs and since >= found.at
            await self._append(_interrupted(found, self._clock.wall(), done=done))
        await asyncio.to_thread(self._file.clear)

    async def replaced_by(self, tag: str) -> str:
        """Return the version that the last deployment of *tag* replaced; else ""."""
        try:
            rows = await asyncio.to_thread(self._history.read)
        except OSError:
            return ""
        made = (r for r in reversed(rows) if (r.tag, r.outcome) == (tag, "deployed"))
        return next((row.previous for row in made), "")

    async def record(
        self,
        attempt: Attempt,
        outcome: str,
        reason: str = "",
        tail: Tail = (),
        *,
        detail: str = "",
        more: bool = False,
    ) -> None:
        """
        Record how *attempt* ended; a failure to write is only logged.

        If there is *more* to do, `end` is to be called after it.
        """
        self._trouble = None
        self._known(attempt, outcome, reason)
        record = self._row(attempt, outcome, reason, tail, detail)
        if outcome != "deployed":
            self._bad = (attempt.target, self._clock.monotonic())
        await self._append(record)
        await self.forget(attempt)
        if not more:
            self.end(attempt)

    def _row(
        self, attempt: Attempt, outcome: str, reason: str, tail: Tail, detail: str
    ) -> Record:
        return Record(
            at=self._clock.wall(),
            tag=attempt.target,
            previous=attempt.previous,
            action=attempt.action,
            outcome=outcome,
            step=attempt.step,
            reason=struck(reason),
            seconds=round(self._clock.monotonic() - attempt.begun, 3),
            log_tail=tuple(map(struck, tail)),
            id=attempt.id,
            detail=detail,
        )

    async def _append(self, record: Record) -> None:
        try:
            await asyncio.to_thread(self._history.append, record)
        except OSError as exc:
            log.error("History not written", extra={"error": summary(exc)})

    async def failed(self, attempt: Attempt, exc: Exception) -> bool:
        """
        Record that *attempt* ended with *exc*; return whether people should hear of it.

        A fault of the host is reported once, although dewy tries again and again.
        """
        attempt.fail(detailed(exc))
        self._told = exc
        trouble = (attempt.target, attempt.step, summary(exc))
        if trouble == self._trouble and not is_verdict(exc):
            self._known(attempt, "failed", trouble[2])
            self.end(attempt)
            return False
        tail = exc.log_tail if isinstance(exc, DeploymentError) else ()
        detail = detail_of(exc)
        await self.record(attempt, "failed", trouble[2], tail, detail=detail)
        self._trouble = trouble
        return True

    async def cancelled(self, attempt: Attempt, reason: str) -> None:
        """Write and tell that *attempt* was cancelled before it took over."""
        log.warning("Deployment cancelled", extra=attempt.log_fields(reason=reason))
        await self.record(attempt, "cancelled", reason)
        what = "gone back to" if attempt.action == "rollback" else "deployed"
        self.tell(NoticeKind.IMPORTANT, f"{attempt.target} was not {what}: {reason}")

    async def hook_failed(
        self, attempt: Attempt, reason: str, tail: Tail, *, detail: str, seconds: float
    ) -> None:
        """Write that the after-hook of *attempt* failed; the deployment stands."""
        told = struck(" ".join(detail.split()))
        row = self._row(attempt, HOOK_FAILED, reason, tail, told)
        seconds = round(seconds, 3)
        await self._append(replace(row, step="after-hook", seconds=seconds))

    async def reloaded(
        self, attempt: Attempt, outcome: str, reason: str, detail: str
    ) -> None:
        """Write how *attempt*, a change of options and of no version, ended."""
        await self._append(self._row(attempt, outcome, reason, (), detail))

    def fetched(self, attempt: Attempt) -> None:
        """
        Send a notice that the artifact is here; once while the following steps keep
        failing.
        """
        tag, trouble = attempt.target, self._trouble
        if trouble is None or trouble[0] != tag or trouble[1] == "fetch":
            self.tell(NoticeKind.ORDINARY, f"Fetched {tag}")

    async def died(self, tag: str, how: str, tail: Tail = ()) -> None:
        """
        Record that the running *tag* died outside of a deployment, and is restarted.

        Not again within `ROW` seconds of a death or failure of that version: those
        of a crash loop are one, and the log has each of them.
        """
        now = self._clock.monotonic()
        last, at = self._bad
        if last == tag and now - at < ROW:
            return
        self._bad = (tag, now)
        await self._append(
            Record(
                at=self._clock.wall(),
                tag=tag,
                previous="",
                action="restart",
                outcome="died",
                step="",
                reason=struck(how),
                seconds=0.0,
                log_tail=tuple(map(struck, tail)),
                detail=words_of(tail),
            )
        )

    def end(self, attempt: Attempt) -> None:
        """Record that the work on *attempt* is over."""
        _tell(self.over, attempt)

    def tell(
        self,
        kind: NoticeKind,
        text: str,
        *fields: tuple[str, str],
        hook: Hook | None = None,
        about: BaseException | None = None,
        series: str = "",
    ) -> None:
        """
        Queue a notice; it is dropped, with a line in the log, if too many wait.

        The error *about* which the notice is will not be reported again. The *series*
        is that of `Notice`.
        """
        self._told = about or self._told
        for beginning, line in LINES:
            if text.startswith(beginning):
                log.info(line, extra={"notice": text})
        short = tuple((title, shortened(value)) for title, value in fields)
        try:
            now = self._clock.wall()
            notice = Notice(kind, text, short, hook, now, series=series)
            self._queue.put_nowait(notice)
        except asyncio.QueueFull:
            log.warning("Notice dropped", extra={"notice": text})

    def is_told(self, exc: BaseException) -> bool:
        """Return whether *exc* ended a deployment that was reported."""
        return exc is self._told

    def poll_failed(self, exc: BaseException, what: str = POLL_FAILED) -> None:
        """
        Send a notice that a poll failed, with *what* about it, unless that was
        reported.
        """
        if not self.is_told(exc):
            self._troubled.add(what)
            text = f"{what}: {summary(exc)}"
            self.tell(NoticeKind.ERROR, text, about=exc, series=what)

    def poll_succeeded(self, what: str = POLL_FAILED) -> None:
        """
        Send a notice that polls succeed again, if the failure of *what* was reported.
        """
        self._told = None
        if what in self._troubled:
            self._troubled.discard(what)
            text = AGAIN.get(what, "Polls succeed again")
            self.tell(NoticeKind.RECOVERY, text, series=what)

    def _known(self, attempt: Attempt, outcome: str, reason: str) -> None:
        attempt.conclude(outcome, reason)
        _tell(self.recorded, attempt)

    async def _deliver(self) -> None:
        while True:
            notice = await self._queue.get()
            try:
                await asyncio.gather(*(_send(n, notice) for n in self._notifiers))
            finally:
                self._queue.task_done()


def _interrupted(found: Underway, now: float, *, done: bool) -> Record:
    return Record(
        at=now,
        tag=found.tag,
        previous=found.previous,
        action=found.action,
        outcome="deployed" if done else INTERRUPTED,
        step="done" if done else "",
        reason="dewy was killed" + (" before it had told" if done else ""),
        seconds=round(max(0.0, now - found.at), 3),
        id=found.id,
    )


def _tell(watchers: Sequence[Watcher], attempt: Attempt) -> None:
    for watcher in watchers:
        try:
            watcher(attempt)
        except Exception:
            # A mere watcher must not make a deployment fail.
            log.exception("Watching ran into a fault")


async def _send(notifier: Notifier, notice: Notice) -> None:
    try:
        async with asyncio.timeout(DELIVERY):
            await notifier.send(notice)
    except (DewyError, OSError) as exc:  # TimeoutError is an OSError
        log.warning("Notice not delivered", extra={"error": summary(exc)})
    except Exception:
        # A fault of one notifier must not keep the next notice from anybody.
        log.exception("Notifier ran into a fault")
