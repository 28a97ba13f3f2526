"""Number of connections that the descriptor limit allows."""

from __future__ import annotations

import resource

from .. import system

__all__ = ["caution", "most_connections", "thread_count"]

# For everything but connections: logs, listeners, probes, the engine's own.
RESERVED = 200
PIPES = 64  # a thread's descriptors, at most
FEW = 500  # connections at a time that are worth a word where nobody asked for them


def thread_count(asked: int | None) -> int:
    """Return the relay's number of threads, one per usable CPU unless *asked*."""
    return system.usable_cpus() if asked is None else asked


def most_connections(threads: int) -> int:
    """Return how many connections the rest of the descriptors allow, at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _room(soft, threads)


def caution(connections: int, threads: int) -> str:
    """
    Return what is wrong with a limit of so many *connections* here; "" for nothing.

    0 is for as many as there can be. The hard limit of descriptors counts, to which
    dewy raises its own.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * (connections or FEW) + _spare(threads)
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return ""
    remedy = "raise LimitNOFILE= of the unit (ulimit -n)"
    if connections:
        what = f"--max-connections {connections} needs {needed} descriptors"
        return f"{what}, and the limit is {hard}: {remedy}"
    most = _room(hard, threads)
    what = f"the limit of {hard} descriptors bounds open connections to {most}"
    return f"{what}, while others wait: {remedy}"


def _room(descriptors: int, threads: int) -> int:
    return max((descriptors - _spare(threads)) // 2, 1)


def _spare(threads: int) -> int:
    return RESERVED + 2 * PIPES * max(threads, 1)
