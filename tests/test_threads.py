"""Calls that never come back keep nobody waiting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from dewy import threads
from dewy.errors import RemoteError
from dewy.threads import Calls, DaemonThreads

MANY = 50

NEVER_ENDS = """
import asyncio, threading
from dewy import loop, threads
threads.GRACE = 0.1

async def main():
    hang = threading.Event().wait
    hung = [asyncio.create_task(asyncio.to_thread(hang)) for _ in range(50)]
    await asyncio.sleep(0)
    print(await asyncio.to_thread(str, "answered"), flush=True)

loop.run(main())
"""


@pytest.fixture
def blocked() -> Iterator[threading.Event]:
    """Set in the end, if not before."""
    blocked = threading.Event()
    yield blocked
    blocked.set()


@pytest.fixture
async def pool(blocked: threading.Event) -> AsyncIterator[DaemonThreads]:
    pool = DaemonThreads()
    asyncio.get_running_loop().set_default_executor(pool)
    yield pool
    blocked.set()
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_calls_that_hang_leave_a_thread_to_others(
    pool: DaemonThreads, blocked: threading.Event
) -> None:
    hung = [pool.submit(blocked.wait) for _ in range(MANY)]

    assert "answered" == await asyncio.to_thread(str, "answered")
    assert not any(each.done() for each in hung)


async def test_idle_thread_is_used_again(pool: DaemonThreads) -> None:
    seen = set()
    for _ in range(MANY):
        seen.add(await asyncio.to_thread(threading.get_ident))

    # The next call may come before the thread of the last one is idle again.
    assert len(seen) < MANY / 2


async def test_error_of_a_call_is_raised(pool: DaemonThreads) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await asyncio.to_thread(int, "x")


async def test_no_call_begins_after_the_end(pool: DaemonThreads) -> None:
    await asyncio.get_running_loop().shutdown_default_executor()

    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(str)


def test_process_ends_though_calls_hang() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NEVER_ENDS], capture_output=True, text=True, timeout=60
    )

    assert (0, "answered\n", "") == (done.returncode, done.stdout, done.stderr)


async def test_call_returns_result_of_function() -> None:
    assert 3 == await Calls("store").make(len, "abc")


async def test_new_call_is_rejected_while_abandoned_call_hangs(
    blocked: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "PATIENCE", 0.05)
    calls = Calls("s3://bucket")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await calls.make(blocked.wait)

    assert {asyncio.current_task()} == asyncio.all_tasks()
    for _ in range(3):
        with pytest.raises(RemoteError, match="s3://bucket hangs since 2"):
            await calls.make(str)

    blocked.set()
    monkeypatch.undo()
    assert "answered" == await calls.make(str, "answered")
