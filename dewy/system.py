"""The seams to the machine: clocks and names, replaceable in tests."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

END_INTERVAL = 0.05
"""Seconds between two looks for the end of a process that no descriptor tells."""

INSIST = 0.1
"""Seconds between two cancellations of the same."""

SHORTAGE = frozenset(
    (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
)
"""Errors of a connection for which this host lacks a port, a descriptor or memory."""

_descriptors: int | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """
    A source of times.

    Attributes:
        wall: Seconds since the epoch; for what is stored or shown.

        monotonic: Seconds that never jump; for every duration.

        jitter: A random number from 0 to 1.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run *function* in a thread; a cancellation is not over before the thread is.

    For what the caller undoes or does next: the thread must not be at it still.
    """
    return await completed(asyncio.to_thread(function, *args, **kwargs))


async def completed(work: Coroutine[Any, Any, T]) -> T:
    """Do *work* to its end; a cancellation is raised only then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        task.exception()  # asked for, or the loop complains that nobody did
        raise cancelled
    return task.result()


async def for_certain(work: Coroutine[Any, Any, T]) -> T:
    """
    Do *work*; a cancellation ends it, even if something in it loses one.

    Below Python 3.12 `asyncio.wait_for` does, if it comes with what is waited for.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=INSIST)
        if not task.cancelled():
            task.exception()  # asked for, or the loop complains that nobody did
        raise
    return task.result()


def is_cancelled() -> bool:
    """
    Return whether a cancellation is of the current task.

    Else something that it awaits was cancelled by somebody else, as a client library
    does with its calls: a failure like any other.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def hostname() -> str:
    """Return this host's name, lower case; `unknown-host` if the host has none."""
    return socket.gethostname().lower() or "unknown-host"


def utc(seconds: float) -> datetime:
    """Return the wall-clock time *seconds* as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def boot_id() -> str:
    """Changes with every boot of this machine; empty where the kernel tells none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """
    Return the start of process *pid*, in clock ticks since boot; None if it is gone.

    A pid together with this names one process for as long as the machine is up.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def raise_descriptor_limit() -> None:
    """
    Have as many descriptors as this process may.

    Programs it starts are to get back what it had: `descriptor_limit` tells.
    """
    global _descriptors
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _descriptors = soft if _descriptors is None else _descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptor_limit() -> int | None:
    """
    Return the soft limit before `raise_descriptor_limit`; None if it was not called.
    """
    return _descriptors


def usable_cpus() -> int:
    """Return the number of CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


async def wait_pid(pid: int) -> None:
    """Return when child *pid* has ended; does not reap it."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        # An old kernel, a strict sandbox, or no descriptor left.
        while not _has_ended(pid):  # noqa: ASYNC110
            await asyncio.sleep(END_INTERVAL)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def reap_later(process: subprocess.Popen[bytes]) -> None:
    """Have *process*, which was killed, reaped when it ends: it may hang till then."""
    # Without a thread the next process that is started does it.
    with suppress(RuntimeError):
        name = f"end of process {process.pid}"
        Thread(target=process.wait, name=name, daemon=True).start()


def _has_ended(pid: int) -> bool:
    look = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, pid, look) is not None
