"""Number of connections that the descriptor limit allows."""

from __future__ import annotations

import resource

__all__ = ["most_connections"]

# For everything but connections: logs, listeners, probes, the engine's own.
RESERVED = 200
PIPES = 64  # a thread's descriptors, at most


def most_connections(threads: int) -> int:
    """Return how many connections the rest of the descriptors allow, at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = RESERVED + 2 * PIPES * max(threads, 1)
    return max((soft - spare) // 2, 1)
