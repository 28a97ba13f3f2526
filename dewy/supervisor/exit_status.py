"""Ends of child processes."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

POLL = 0.05


async def wait_pid(pid: int) -> None:
    """Return when child *pid* has ended; does not reap it."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        # An old kernel, a strict sandbox, or no descriptor left.
        while not _has_ended(pid):  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _has_ended(pid: int) -> bool:
    look = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, pid, look) is not None


def describe_exit(code: int) -> str:
    """Return `exit status 3`, `killed by SIGSEGV`."""
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
