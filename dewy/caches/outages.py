"""Outages of a shared cache: distrust, deadlines with a circuit breaker, the log."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ..errors import ConfigError, RateLimited, RemoteError
from ..logs import summary

log = logging.getLogger(__name__)

ADVICE = "could not be trusted: its TLS handshake or certificate failed"


def authorities(path: str) -> str:
    """
    Check *path*, the file of CA certificates that the option `ca` names, and return it.

    Raises:
        ConfigError: the file cannot be read, or contains no certificates.
    """
    if not path:
        return path
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(
            f"option ca={path!r} must be a file of certificates in PEM form"
        ) from None
    except OSError:
        raise ConfigError(f"option ca={path!r} must be a file that can be read") from (
            None
        )
    return path


def is_distrust(exc: BaseException | None) -> bool:
    """Return whether *exc* or one of its causes is a failure of TLS."""
    while exc is not None:
        if isinstance(exc, ssl.SSLError | ssl.CertificateError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


T = TypeVar("T")

CALL_TIMEOUT = 5.0
"""Deadline of a call in seconds."""

AWAY = 15.0
"""Seconds in which calls fail at once after a missed deadline."""


class CircuitBreaker:
    """
    Deadlines for the calls to a store.

    A store that hangs would cost its deadline at every call. So after a missed deadline
    calls fail at once for a while.

    Args:
        where: The store's name in messages, without secrets.
    """

    def __init__(
        self, where: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.where = where
        self._monotonic = monotonic
        self._away_until = float("-inf")

    @asynccontextmanager
    async def within(self, seconds: float = CALL_TIMEOUT) -> AsyncIterator[None]:
        """
        Limit the block to *seconds*.

        Raises:
            RemoteError: the block took longer, or another one did in the last `AWAY`
                seconds.
        """
        if self._monotonic() < self._away_until:
            raise RemoteError(f"{self.where} did not answer in time a moment ago")
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            self._away_until = self._monotonic() + AWAY
            raise RemoteError(f"{self.where} did not answer in {seconds:g} s") from None


async def together(*calls: Coroutine[Any, Any, T]) -> list[T]:
    """
    Return the results of *calls*, made concurrently.

    Raises:
        OSError, RemoteError: the error of the first call that failed; the others are
            cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call, name="cache call") for call in calls]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


class OutageLog:
    """
    Log of a cache's outages: a line when one begins, and one when it is over.

    If reads failed, any success ends the outage: some hosts never write. If only writes
    failed, a write has to succeed: a cache that is full or read-only is still readable.
    """

    def __init__(self) -> None:
        self._reading = self._writing = self._read_since = False

    def noticed(self, exc: Exception, *, reading: bool = False) -> None:
        """Note that a call failed with *exc*, and the caller went on without it."""
        limited = isinstance(exc, RateLimited)  # no outage
        known = self._reading or (self._writing and not (reading and self._read_since))
        level = logging.DEBUG if known or limited else logging.WARNING
        log.log(level, "Went on without the cache", extra={"reason": summary(exc)})
        if not limited:
            self._reading |= reading
            self._writing |= not reading
            self._read_since &= known

    def over(self, *, reading: bool = False) -> None:
        """Note that a write succeeded or, with *reading*, a read."""
        if self._reading or (self._writing and not reading):
            log.info("Cache works again")
            self._reading = self._writing = False
        self._read_since = self._writing
