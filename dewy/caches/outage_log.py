"""A cache that fails costs time, and one line in the log, whoever notices first."""

from __future__ import annotations

import logging

from ..errors import RateLimited
from ..logs import summary

log = logging.getLogger(__name__)


class OutageLog:
    """
    Reports on a failing cache: one when it begins to fail, one when that is over.

    Reading and writing fail apart. What failed to be read is well when something was
    read: there are hosts that never write. What was read all the time is well when
    something was written: a cache that is full or read-only reads well.
    """

    def __init__(self) -> None:
        self._reading = self._writing = self._read_since = False

    def noticed(self, exc: Exception, *, reading: bool = False) -> None:
        """
        Note that a call failed with *exc*, and its caller goes on without the cache.
        """
        # A cache that takes something later only is not away.
        later = isinstance(exc, RateLimited)
        told = self._reading or (self._writing and not (reading and self._read_since))
        level = logging.DEBUG if told or later else logging.WARNING
        log.log(level, "Went on without the cache", extra={"reason": summary(exc)})
        if not later:
            self._reading |= reading
            self._writing |= not reading
            self._read_since &= told

    def over(self, *, reading: bool = False) -> None:
        """Note that the cache took something, or, with *reading*, gave something."""
        if self._reading or (self._writing and not reading):
            log.info("Cache works again")
            self._reading = self._writing = False
        self._read_since = self._writing
