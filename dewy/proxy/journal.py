"""A line of the log for every connection that ended, where that was asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from .._speedups.interface import Ended

__all__ = ["SIZE", "is_wanted", "tell"]

log = logging.getLogger(__name__)

SIZE = 4096
"""Connections; those that find no room between two looks are only counted."""


def is_wanted() -> bool:
    """Whether anybody would see those lines."""
    return log.isEnabledFor(logging.DEBUG)


def tell(
    entries: Iterable[Ended],
    missed: int,
    ports: Mapping[int, str],
    backends: Mapping[int, str],
) -> None:
    """
    Log *entries*, and how many were *missed*.

    Args:
        ports, backends: What those are called, by number.
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
        log.debug("Connection ended", extra=told)
    if missed:
        log.debug("Connections not logged", extra={"count": missed})
