"""Transfers that stream to disk and go on where they broke, whatever the store."""

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
"""Bytes that count as a gain between two breaks."""

FLOOR = 1 << 10
"""Bytes per second; a transfer that stays below it for `window` is given up."""

LONGEST_WAIT = 300.0
"""
Seconds that a transfer stays away where a store asks for it; if it asks for more, the
transfer fails, and the next poll comes no earlier than that.
"""

LONGEST_START = 20.0
"""The same for one that has brought nothing yet, and so has nothing to lose."""

UNREMARKABLE = 10.0
"""Seconds of a pause that is nobody's business."""

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """
    The limits of a transfer's attempts.

    Attributes:
        attempts: Breaks in a row, with less than a piece gained between them,
            until it is given up.

        silence: Seconds in which something worth the name has to arrive.

        window: Seconds over which a transfer must keep up `FLOOR`.

        wait: Sleeps between attempts.
    """

    attempts: int = 5
    silence: float = http.STANDARD.silence
    window: float = 120.0
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep


STANDARD = Effort()
"""The effort for every transfer."""


class Interrupted(RemoteError):
    """The transfer broke off, and may go on at once."""


def refusal(
    host: str, status: int, headers: Mapping[str, str], advice: Mapping[int, str]
) -> RemoteError:
    """Return the error of `http.refusal`; `Interrupted` where the status may pass."""
    refused = http.refusal(host, status, headers, advice)
    passing = status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT
    if not passing or isinstance(refused, RateLimited):
        return refused
    return Interrupted(str(refused), retry_after=refused.retry_after)


@dataclass(frozen=True, slots=True)
class Stream:
    """
    An open connection to a file.

    Attributes:
        start: The byte at which it begins: the one asked for, or 0.

        total: Bytes of the whole file, where that is known.

        pieces: The file from there on.
    """

    start: int
    total: int | None
    pieces: AsyncGenerator[bytes | bytearray, None]


class TransferSource(Protocol):
    """A file in a store, the same one over as many connections as it takes."""

    @property
    def where(self) -> str:
        """The store, for messages."""
        ...

    def opened(self, start: int) -> AbstractAsyncContextManager[Stream]:
        """
        Connect, to go on at byte *start*; where that cannot be, at the first one.

        Raises:
            Interrupted, RateLimited: another attempt may get further; also raised
                by the pieces.
            RemoteError: the transfer failed for good.
        """
        ...

    async def settle(self, draft: PartialFile) -> None:
        """
        Turn what has arrived into the file as it was published, and compare it.

        Raises:
            RemoteError: it is another file.
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

    On an error, or when cancelled, nothing is left on disk.

    Args:
        progress: Told of bytes on disk, and of all that are expected.

    Raises:
        RemoteError: the store did not deliver it whole.
        DeploymentError: the file could not be written.
    """
    async with PartialFile(into) as draft:
        moving = _Transfer(source, draft, progress, effort.window)
        await persist(moving.attempt, effort, lambda: moving.done)
        await source.settle(draft)


async def persist(
    attempt: Callable[[], Awaitable[T]],
    effort: Effort = STANDARD,
    reached: Callable[[], int] = lambda: 0,
) -> T:
    """
    Return the result of *attempt*, made again where it is interrupted or comes too
    often, after a pause that grows, or that the store asks for.

    Args:
        reached: Returns the bytes gained so far.

    Raises:
        RemoteError: it failed for good, or too many times in a row.
    """
    failures, furthest = 0, 0
    while True:
        try:
            return await attempt()
        except (Interrupted, RateLimited) as exc:
            # Only new ground counts as progress: that is what ends this loop.
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
    """A transfer, over as many connections as it takes."""

    source: TransferSource
    draft: PartialFile
    progress: Progress
    window: float
    done: int = 0

    async def attempt(self) -> None:
        """Go on from `done` to the end; raises as `TransferSource.opened` does."""
        async with self.source.opened(self.done) as stream:
            if stream.start != self.done:
                await self.draft.restart()
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
            await self._keep(piece, total)
            if (elapsed := clock() - since) < self.window:
                continue
            if (gained := self.done - before) < elapsed * FLOOR:
                raise Interrupted(
                    f"{self.source.where} sent only {gained} bytes in {elapsed:.0f} s"
                )
            since, before = clock(), self.done

    async def _keep(self, piece: bytes | bytearray, total: int | None) -> None:
        if total is not None and self.done + len(piece) > total:
            raise RemoteError(
                f"{self.source.where} sent more than the {total} bytes it promised"
            )
        await self.draft.write(piece)
        self.done += len(piece)
        self.progress(self.done, total)
