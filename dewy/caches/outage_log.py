"""A cache that fails costs time, and one line in the log, whoever notices first."""

from __future__ import annotations

import logging

from ..errors import RemoteError
from ..logs import summary

log = logging.getLogger(__name__)


class OutageLog:
    """
    Reports on a failing cache: one when it begins to fail, one when that is over.

    It is over when something was written: what is full or read-only reads well.
    """

    def __init__(self) -> None:
        self._begun = False

    def noticed(self, exc: OSError | RemoteError) -> None:
        """
        Note that a call failed with *exc*, and its caller goes on without the cache.
        """
        level = logging.DEBUG if self._begun else logging.WARNING
        log.log(level, "Went on without the cache", extra={"reason": summary(exc)})
        self._begun = True

    def over(self) -> None:
        """Note that the cache took something."""
        if self._begun:
            log.info("Cache works again")
        self._begun = False
