"""Transfers from any store to disk, resumed where they were interrupted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import RateLimited, RemoteError
from . import http
from .partial_file import PartialFile

__all__ = [
    "STANDARD",
    "Effort",
    "Interrupted",
    "Progress",
    "Stream",
    "TransferSource",
    "persist",
    "refusal",
    "transfer",
]

log = logging.getLogger(__name__)

T = TypeVar("T")

PIECE = 1 << 20
"""Bytes between two interruptions that count as progress."""

FLOOR = 1 << 10
"""Minimum bytes per second, over `Effort.window`, of a transfer that goes on."""

LONGEST_WAIT = 300.0
"""
Maximum seconds that a transfer waits because the store asks for it. If the store asks
for more, the transfer fails, and the next poll waits that long.
"""

LONGEST_START = 20.0
"""The same for a transfer without a byte yet, which has nothing to lose."""

UNREMARKABLE = 10.0
"""Maximum seconds of a pause that is logged at DEBUG only."""

Progress = Callable[[int, int | None], None]
"""Takes the bytes that are on disk, and the expected total, if that is known."""


@dataclass(frozen=True, slots=True)
class Effort:
    """
    Limits of a transfer's attempts.

    Attributes:
        attempts: Interruptions in a row, with less than `PIECE` bytes between two of
            them, after which the transfer fails.

        silence: Seconds within which bytes have to arrive.

        window: Seconds over which the rate must not fall below `FLOOR`.

        wait: Sleeps for some seconds between attempts.
    """

    attempts: int = 5
    silence: float = http.STANDARD.silence
    window: float = 120.0
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


STANDARD = Effort()
"""The effort in production."""


class Interrupted(RemoteError):
    """The request was interrupted; another attempt may succeed at once."""


def refusal(
    host: str, status: int, headers: Mapping[str, str], advice: Mapping[int, str]
) -> RemoteError:
    """Return the error of `http.refusal`; `Interrupted` if the status is transient."""
    refused = http.refusal(host, status, headers, advice)
    transient = status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT
    if not transient or isinstance(refused, RateLimited):
        return refused
    return Interrupted(str(refused), retry_after=refused.retry_after)


@dataclass(frozen=True, slots=True)
class Stream:
    """
    A file on its way over one connection.

    Attributes:
        start: The offset of the first byte: the one asked for, or 0.

        total: Bytes of the whole file; None if unknown.

        pieces: The file's bytes from *start* on.
    """

    start: int
    total: int | None
    pieces: AsyncGenerator[bytes | bytearray, None]


class TransferSource(Protocol):
    """A file in a store, which takes one or more connections to transfer."""

    @property
    def where(self) -> str:
        """Name of the store, for messages."""
        ...

    def opened(self, start: int) -> AbstractAsyncContextManager[Stream]:
        """
        Open the file at offset *start*, or at 0 if it cannot be resumed there.

        Raises:
            Interrupted, RateLimited: another attempt may get further; raised by the
                pieces, too.
            RemoteError: the transfer failed for good.
        """
        ...

    async def finish(self, file: PartialFile) -> None:
        """
        Decode the received *file* where necessary, and verify it.

        Raises:
            RemoteError: the file differs from the published one.
        """
        ...


async def transfer(
    source: TransferSource,
    into: Path,
    progress: Progress = lambda done, total: None,
    effort: Effort = STANDARD,
) -> None:
    """
    Stream *source* to *into*, by way of `<into>.part`.

    On an error or a cancellation nothing is left on disk.

    Raises:
        RemoteError: the store did not deliver the whole file.
        DeploymentError: the file could not be written.
    """
    async with PartialFile(into) as file:
        running = _Transfer(source, file, progress, effort.window)
        await persist(running.attempt, effort, lambda: running.done)
        await source.finish(file)


async def persist(
    attempt: Callable[[], Awaitable[T]],
    effort: Effort = STANDARD,
    reached: Callable[[], int] = lambda: 0,
) -> T:
    """
    Return the result of *attempt*, which is repeated while it is interrupted or rate
    limited, after pauses that double from 0.5 s to 8 s or are those the store asks for.

    Args:
        reached: Returns the bytes transferred so far.

    Raises:
        RemoteError: the attempt failed for good, or too many times in a row.
    """
    failures, furthest = 0, 0
    while True:
        try:
            return await attempt()
        except (Interrupted, RateLimited) as exc:
            # Bytes transferred again are no progress, or this loop might never end.
            if reached() >= furthest + PIECE:
                failures, furthest = 0, reached()
            failures += 1
            asked = exc.retry_after or 0.0
            longest = LONGEST_WAIT if reached() else LONGEST_START
            if failures >= effort.attempts or asked > longest:
                raise
            pause = max(asked, min(0.5 * 2 ** (failures - 1), 8.0))
            fields = {"reason": str(exc), "bytes": reached(), "pause": pause}
            level = logging.INFO if pause > UNREMARKABLE else logging.DEBUG
            log.log(level, "Download interrupted", extra=fields)
        await effort.wait(pause)


@dataclass(slots=True)
class _Transfer:
    """A transfer over one or more connections."""

    source: TransferSource
    file: PartialFile
    progress: Progress
    window: float
    done: int = 0

    async def attempt(self) -> None:
        """Resume at `done` and go on to the end, raising what `opened` raises."""
        async with self.source.opened(self.done) as stream:
            if stream.start != self.done:
                await self.file.restart()
                self.done = stream.start
            async with aclosing(stream.pieces) as pieces:
                await self._receive(pieces, stream.total)
        if stream.total is not None and self.done < stream.total:
            raise Interrupted(
                f"{self.source.where} ended after {self.done} of {stream.total} bytes"
            )

    async def _receive(
        self, pieces: AsyncGenerator[bytes | bytearray, None], total: int | None
    ) -> None:
        clock = asyncio.get_running_loop().time
        since, before = clock(), self.done
        async for piece in pieces:
            await self._write(piece, total)
            if (elapsed := clock() - since) < self.window:
                continue
            if (gained := self.done - before) < elapsed * FLOOR:
                raise Interrupted(
                    f"{self.source.where} sent only {gained} bytes in {elapsed:.0f} s"
                )
            since, before = clock(), self.done

    async def _write(self, piece: bytes | bytearray, total: int | None) -> None:
        if total is not None and self.done + len(piece) > total:
            raise RemoteError(
                f"{self.source.where} sent more than the {total} bytes it promised"
            )
        await self.file.write(piece)
        self.done += len(piece)
        self.progress(self.done, total)
