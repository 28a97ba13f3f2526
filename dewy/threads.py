"""Threads for calls that block, some of which may never come back."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from .errors import RemoteError

__all__ = ["Calls", "DaemonThreads"]

P = ParamSpec("P")
T = TypeVar("T")

GRACE = 2.0
"""Seconds for which the end of the loop waits for calls that are still at it."""

PATIENCE = 5.0
"""Seconds that a call waits for one that was given up before it."""

Work = Callable[[], None]


class DaemonThreads(ThreadPoolExecutor):
    """
    A pool that grows with the calls under way and does not keep dewy from ending.

    asyncio's own has six on two cores, and joins each of them at the end: as many
    calls that hang would keep `state.json` from being written and dead children from
    being noticed, and one would keep the process.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # the inherited pool is never started
        self._guard = threading.Lock()
        self._idle: list[queue.SimpleQueue[Work | None]] = []
        self._busy: set[Future[Any]] = set()
        self._over = False

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """
        Run *fn* in a thread that is idle, or else in a new one.

        Raises:
            RuntimeError: the limit of threads is reached.
        """
        future: Future[T] = Future()

        def work() -> None:
            _carry_out(future, lambda: fn(*args, **kwargs))

        with self._guard:
            if self._over:
                raise RuntimeError("cannot schedule new futures after shutdown")
            idle = self._idle.pop() if self._idle else None
            self._busy.add(future)
        future.add_done_callback(self._finished)
        if idle is not None:
            idle.put(work)
        else:
            threading.Thread(
                target=self._run, args=(work,), name="blocking calls", daemon=True
            ).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the idle threads; calls get two seconds, and are left to themselves."""
        with self._guard:
            self._over = True
            idle, self._idle = self._idle, []
            busy = set(self._busy)
        for each in idle:
            each.put(None)
        if wait:
            futures.wait(busy, timeout=GRACE)

    def _run(self, work: Work | None) -> None:
        more: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        while work is not None:
            work()
            with self._guard:
                if self._over:
                    return
                self._idle.append(more)
            work = more.get()

    def _finished(self, future: Future[Any]) -> None:
        with self._guard:
            self._busy.discard(future)


class Calls:
    """
    Blocking calls of the client *name*, one hung call at a time.

    A deadline ends the waiting, not the thread: while a call that was given up goes
    on, no other begins.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._given_up: dict[asyncio.Future[Any], float] = {}

    async def make(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """
        Return what *function* returns in a thread.

        Raises:
            RemoteError: a call that was given up has not come back.
        """
        await self._require_none_hangs()
        begun = time.time()
        # No task: that would outlive its owner where the call is given up.
        call = partial(copy_context().run, partial(function, *args, **kwargs))
        work = asyncio.get_running_loop().run_in_executor(None, call)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if not work.done():
                self._given_up[work] = begun
                work.add_done_callback(self._came_back)
            raise

    async def _require_none_hangs(self) -> None:
        if self._given_up:
            await asyncio.wait(self._given_up, timeout=PATIENCE)
        for begun in self._given_up.values():
            raise RemoteError(f"{self._name} hangs since {moment(begun)}")

    def _came_back(self, work: asyncio.Future[Any]) -> None:
        self._given_up.pop(work, None)
        if not work.cancelled():
            work.exception()  # asked for, or the loop complains that nobody did


def moment(seconds: float) -> str:
    """Return the wall-clock time *seconds* as sentences have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _carry_out(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as exc:  # noqa: BLE001 - whoever awaits it decides
        future.set_exception(exc)
    else:
        future.set_result(result)
