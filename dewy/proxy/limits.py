"""Number of connections that the descriptor limit allows."""

from __future__ import annotations

import resource

from .. import system

__all__ = ["caution", "most_connections", "thread_count"]

# For everything but connections: logs, listeners, probes, the engine's own.
RESERVED = 200
PIPES = 64  # a thread's descriptors, at most


def thread_count(asked: int | None) -> int:
    """Return the relay's number of threads, one per usable CPU unless *asked*."""
    return system.usable_cpus() if asked is None else asked


def most_connections(threads: int) -> int:
    """Return how many connections the rest of the descriptors allow, at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max((soft - _spare(threads)) // 2, 1)


def caution(connections: int, threads: int) -> str:
    """
    Return what is wrong with a limit of so many *connections* here; "" for nothing.

    The hard limit counts, to which dewy raises its own.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * connections + _spare(threads)
    if not connections or hard == resource.RLIM_INFINITY or needed <= hard:
        return ""
    return (
        f"--max-connections {connections} needs {needed} descriptors, and the limit "
        f"is {hard}: raise LimitNOFILE= of the unit (ulimit -n)"
    )


def _spare(threads: int) -> int:
    return RESERVED + 2 * PIPES * max(threads, 1)
