"""A log line for every connection that ended, where requested."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from .._speedups.interface import Ended

__all__ = ["SIZE", "is_wanted", "tell"]

log = logging.getLogger(__name__)

SIZE = 4096
"""Capacity in connections; those beyond it between two readings are only counted."""


def is_wanted() -> bool:
    """Return whether the log shows those lines."""
    return log.isEnabledFor(logging.INFO)


def tell(
    entries: Iterable[Ended],
    missed: int,
    ports: Mapping[int, str],
    backends: Mapping[int, str],
) -> None:
    """
    Log *entries*, and how many were *missed*.

    Args:
        ports, backends: Names of both, by number.
    """
    for each in entries:
        told = {
            "port": ports.get(each.port, ""),
            "backend": backends.get(each.backend, ""),
            "client": each.client,
            "broken": each.broken,
            "bytes_up": each.bytes_up,
            "bytes_down": each.bytes_down,
            "seconds": round(each.seconds, 6),
        }
        log.info("Connection ended", extra=told)
    if missed:
        log.info("Connections not logged", extra={"count": missed})
