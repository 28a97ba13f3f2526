"""Downloads that stream to disk and go on where a connection broke."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
from yarl import URL

from ..errors import RemoteError
from . import http
from .partial_file import PartialFile

__all__ = ["Effort", "download"]

log = logging.getLogger(__name__)

PIECE = 1 << 20
"""Bytes gathered before they are written; what a download keeps in memory."""

TRICKLE = 1 << 10
"""A server that sends fewer bytes than this within `silence` has stalled."""

FLOOR = 1 << 10
"""Bytes per second; a transfer that stays below it for `window` is given up."""

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """
    The limits of a download's attempts.

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
"""The effort for every download."""


class Interrupted(RemoteError):
    """The transfer broke off, and may go on at once."""


async def download(
    session: aiohttp.ClientSession,
    url: str | URL,
    into: Path,
    *,
    headers: Mapping[str, str] | None = None,
    expected: int | None = None,
    progress: Progress | None = None,
    advice: Mapping[int, str] | None = None,
    effort: Effort = STANDARD,
) -> None:
    """
    Stream *url* to *into*, by way of `<into>.part`.

    A broken connection is taken up where it broke (Range with If-Range, RFC
    9110 §13.1.5) if the server named a validator, else from the beginning. On
    an error, or when cancelled, nothing is left on disk.

    Args:
        session: A session that does not decompress.

        expected: The published size in bytes, where there is one.

        progress: Told of bytes on disk, and of all that are expected.

        advice: The remedies by status, for the message.

    Raises:
        RemoteError: the server did not deliver it whole.
        DeploymentError: the file could not be written.
    """
    async with PartialFile(into) as draft:
        transfer = _Transfer(
            session=session,
            url=URL(url),
            headers=headers or {},
            draft=draft,
            total=expected,
            progress=progress or (lambda done, total: None),
            advice=advice or {},
            silence=effort.silence,
            window=effort.window,
        )
        await _persist(transfer, effort)


async def _persist(transfer: _Transfer, effort: Effort) -> None:
    failures, furthest = 0, 0
    while True:
        try:
            return await transfer.attempt()
        except Interrupted as exc:
            # Only new ground counts as progress: that is what ends this loop.
            if transfer.done >= furthest + PIECE:
                failures, furthest = 0, transfer.done
            failures += 1
            if failures >= effort.attempts:
                raise
            log.debug(
                "Download interrupted",
                extra={"reason": str(exc), "bytes": transfer.done},
            )
        await effort.wait(min(0.5 * 2 ** (failures - 1), 8.0))


@dataclass(slots=True)
class _Transfer:
    """A download, over as many connections as it takes."""

    session: aiohttp.ClientSession
    url: URL
    headers: Mapping[str, str]
    draft: PartialFile
    total: int | None
    progress: Progress
    advice: Mapping[int, str]
    silence: float
    window: float
    done: int = 0
    validator: str = ""

    @property
    def host(self) -> str:
        return self.url.host or ""

    async def attempt(self) -> None:
        """
        Go on from `done` to the end.

        Raises:
            Interrupted: the transfer broke off; another attempt may get further.
            RemoteError: the transfer failed for good.
        """
        if self.done and not self.validator:
            await self._restart()
        with http.translated(self.host, Interrupted):
            async with self.session.get(
                self.url, headers=self._request_headers()
            ) as response:
                await self._accept(response)
                await self._receive(response)
        if self.total is not None and self.done < self.total:
            raise Interrupted(
                f"{self.host} ended after {self.done} of {self.total} bytes"
            )

    def _request_headers(self) -> dict[str, str]:
        # Length and digest are those of the stored bytes: no coding on the way.
        headers = {**self.headers, "Accept-Encoding": "identity"}
        if self.done:
            headers |= {"Range": f"bytes={self.done}-", "If-Range": self.validator}
        return headers

    async def _accept(self, response: aiohttp.ClientResponse) -> None:
        match response.status:
            case HTTPStatus.OK:
                if self.done:
                    await self._restart()
                self._begin(response)
            case HTTPStatus.PARTIAL_CONTENT if self._continues(response):
                pass
            case (
                HTTPStatus.PARTIAL_CONTENT | HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            ):
                await self._restart()
                raise Interrupted(f"{self.host} did not go on at the byte asked for")
            case status:
                refused = http.refusal(self.host, status, response.headers, self.advice)
                if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
                    raise Interrupted(str(refused), retry_after=refused.retry_after)
                raise refused

    def _begin(self, response: aiohttp.ClientResponse) -> None:
        length = response.content_length
        if None not in (length, self.total) and length != self.total:
            raise RemoteError(
                f"{self.host} offers {length} bytes where {self.total} were published"
            )
        self.total = self.total if length is None else length
        self.validator = _validator(response.headers)

    def _continues(self, response: aiohttp.ClientResponse) -> bool:
        stated = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "")
        )
        return (
            stated is not None
            and self.done > 0
            and int(stated[1]) == self.done
            and (self.total is None or stated[2] in ("*", str(self.total)))
        )

    async def _restart(self) -> None:
        await self.draft.restart()
        self.done, self.validator = 0, ""

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        clock = asyncio.get_running_loop().time
        since, before = clock(), self.done
        async with aclosing(_pieces(response.content, self.silence)) as pieces:
            async for piece in pieces:
                await self._keep(piece)
                if (elapsed := clock() - since) < self.window:
                    continue
                if (gained := self.done - before) < elapsed * FLOOR:
                    raise Interrupted(
                        f"{self.host} sent only {gained} bytes in {elapsed:.0f} s"
                    )
                since, before = clock(), self.done

    async def _keep(self, piece: bytearray) -> None:
        if self.total is not None and self.done + len(piece) > self.total:
            raise RemoteError(
                f"{self.host} sent more than the {self.total} bytes it promised"
            )
        await self.draft.write(piece)
        self.done += len(piece)
        self.progress(self.done, self.total)


def _validator(headers: Mapping[str, str]) -> str:
    """Return a validator for If-Range: a strong ETag, else a date, else ""."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


async def _pieces(
    content: aiohttp.StreamReader, silence: float
) -> AsyncGenerator[bytearray, None]:
    """
    Yield *content* in pieces of at most `PIECE` bytes, or what `silence` brings.

    What arrived before a break is yielded first: a broken stream tells of it
    again when it is next asked, and a stalled one has another `silence` to go.
    """
    ended = False
    while not ended:
        piece = bytearray()
        try:
            async with asyncio.timeout(silence):
                while len(piece) < PIECE and not ended:
                    chunk = await content.read(PIECE - len(piece))
                    piece += chunk
                    ended = not chunk
        except (aiohttp.ClientError, TimeoutError):
            if len(piece) < TRICKLE:
                raise
        if piece:
            yield piece
