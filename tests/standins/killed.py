"""
A dewy that is killed at one point of its first deployment.

    python -m tests.standins.killed POINT COMMAND [OPTION…]

POINT is `MODULE:NAME:enter`, `MODULE:NAME:leave`, or either with `:N` for the
N-th time; or `write:N`: before the N-th change that the deployment makes to
files or processes, as Python's audit events tell them.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from dewy.agent import Agent
from dewy.cli import main

CHANGES = frozenset(
    {
        "os.chmod",
        "os.kill",
        "os.killpg",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "os.utime",
        "subprocess.Popen",
    }
)

deploying = False


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def count(times: int) -> None:
    """Called at the point each time; dies at the last of *times*."""
    if deploying and next(_seen) == times:
        die()


_seen = itertools.count(1)


def arm() -> None:
    """Let only what a deployment does count."""
    original = Agent.deploy

    @functools.wraps(original)
    async def deploy(*args: Any) -> None:
        global deploying
        deploying = True
        await original(*args)

    Agent.deploy = deploy  # type: ignore[method-assign]


def watch(module: str, name: str, moment: str, times: int) -> None:
    """Count the calls of one function."""
    holder: Any = importlib.import_module(module)
    *owners, last = name.split(".")
    for owner in owners:
        holder = getattr(holder, owner)
    original = getattr(holder, last)
    wrap = _asynchronous if inspect.iscoroutinefunction(original) else _plain
    setattr(holder, last, wrap(original, moment, times))


def _plain(original: Callable[..., Any], moment: str, times: int) -> Any:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if moment == "enter":
            count(times)
        result = original(*args, **kwargs)
        if moment == "leave":
            count(times)
        return result

    return call


def _asynchronous(original: Callable[..., Any], moment: str, times: int) -> Any:
    @functools.wraps(original)
    async def call(*args: Any, **kwargs: Any) -> Any:
        if moment == "enter":
            count(times)
        result = await original(*args, **kwargs)
        if moment == "leave":
            count(times)
        return result

    return call


def watch_changes(times: int) -> None:
    """Count what the deployment changes."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in CHANGES or (event == "open" and _writes(args)):
            count(times)

    sys.addaudithook(hook)


def _writes(args: tuple[Any, ...]) -> bool:
    flags = args[2] or 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


if __name__ == "__main__":
    point = sys.argv.pop(1).split(":")
    arm()
    if point[0] == "write":
        watch_changes(int(point[1]))
    else:
        watch(*point[:3], int(point[3]) if point[3:] else 1)  # type: ignore[call-arg]
    main()
