"""An event loop in which waiting takes no time: it jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

SETTLE = 0.002
"""Real seconds without any event after which the loop jumps."""

ROUNDS = 10
"""Rounds of the loop in which a connection that is being accepted becomes one."""

LATE = 0.001
"""Real seconds by which a wait that is over later proves nothing."""


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Waits for events in real time, but for a moment only."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        self.pending = 0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        wait, begun = min(SETTLE if timeout is None else timeout, SETTLE), monotonic()
        found = super().select(wait)
        # On a busy host, the kernel is late with packets as it is with us.
        punctual = monotonic() - begun < wait + LATE
        if punctual and not found and timeout is not None and not self.pending:
            self.skipped += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """
    Skips the time until the next timer when nothing else is left to do.

    What a thread is at is waited for in real time.
    """

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return super().time() + self._jumping.skipped

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        self._jumping.pending += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: object) -> None:
        self._jumping.pending -= 1


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on a loop of its own in which waiting takes no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            return runner.run(work)
        finally:
            runner.run(_closed(runner.get_loop()))


async def _closed(loop: asyncio.AbstractEventLoop) -> None:
    """Close the connections that are left: what `kill -9` ends closes nothing."""
    left: Mapping[int, asyncio.Transport] = loop._transports  # type: ignore[attr-defined]
    for _ in range(ROUNDS):
        for transport in list(left.values()):
            transport.abort()
        await asyncio.sleep(0)
