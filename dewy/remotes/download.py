"""Downloads over HTTP, resumed after an interruption if the file is still the same."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import shutil
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
from yarl import URL

from ..errors import RemoteError
from . import http
from .partial_file import PartialFile
from .transfer import (
    PIECE,
    STANDARD,
    Effort,
    Interrupted,
    Progress,
    Stream,
    refusal,
    transfer,
)

__all__ = ["Coding", "Effort", "Interrupted", "coding_of", "download"]

log = logging.getLogger(__name__)

TRICKLE = 1 << 10
"""Bytes within `silence` below which a server counts as stalled."""

Refused = Callable[[aiohttp.ClientResponse], Awaitable[RemoteError]]
"""Returns the error for a response that is not the file."""

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)


async def download(
    session: aiohttp.ClientSession,
    url: str | URL,
    into: Path,
    *,
    headers: Mapping[str, str] | None = None,
    expected: int | None = None,
    progress: Progress = lambda done, total: None,
    advice: Mapping[int, str] | None = None,
    refused: Refused | None = None,
    effort: Effort = STANDARD,
) -> None:
    """
    Stream *url* to *into*, by way of `<into>.part`.

    After an interruption the download is resumed (Range with If-Range, RFC 9110,
    section 13.1.5) if the server gave a validator, else begun again. On an error or a
    cancellation nothing is left on disk.

    Args:
        session: A session that does not decompress.

        expected: The published size in bytes, if there is one.

        advice: Remedies by status, for the message.

        refused: Replaces the error by status and headers.

    Raises:
        RemoteError: the server did not deliver the whole file.
        DeploymentError: the file could not be written.
    """
    source = _HTTPSource(
        session=session,
        url=URL(url),
        name=into.name,
        headers=headers or {},
        expected=expected,
        refused=refused or _by_status(advice or {}),
        silence=effort.silence,
    )
    await transfer(source, into, progress, effort)


@dataclass(frozen=True, slots=True)
class _File:
    """
    A response's description of the file.

    Attributes:
        length: Bytes on the wire of the whole file; None if unknown.

        coding: Content coding on the wire, "" for none.
    """

    length: int | None
    etag: str
    modified: str
    coding: str

    @property
    def validator(self) -> str:
        return _validator({"ETag": self.etag, "Last-Modified": self.modified})

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> _File:
        headers, length = response.headers, response.content_length
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            stated = _RANGE.fullmatch(headers.get("Content-Range", ""))
            length = int(stated[2]) if stated and stated[2] != "*" else None
        return cls(
            length,
            headers.get("ETag", ""),
            headers.get("Last-Modified", ""),
            coding_of(headers),
        )

    def matches(self, part: _File) -> bool:
        """Return whether *part*, of a later response, describes the same file."""
        # A 206 need not repeat the date (RFC 9110, section 15.3.7).
        lengths = {part.length, self.length} - {None}
        return (
            (part.etag, part.coding) == (self.etag, self.coding)
            and part.modified in ("", self.modified)
            and len(lengths) < 2
        )


@dataclass(slots=True)
class _HTTPSource:
    """
    A file at a URL.

    Attributes:
        file: The file as the last 200 described it; None if the next attempt has to
            begin at offset 0.

        replaced: Whether an earlier response was about another file.
    """

    session: aiohttp.ClientSession
    url: URL
    name: str
    headers: Mapping[str, str]
    expected: int | None
    refused: Refused
    silence: float
    file: _File | None = None
    replaced: bool = False

    @property
    def where(self) -> str:
        return self.url.host or ""

    @asynccontextmanager
    async def opened(self, start: int) -> AsyncIterator[Stream]:
        begun = start if self.file and self.file.validator else 0
        with http.translated(self.where, Interrupted):
            async with self.session.get(
                self.url, headers=self._request_headers(begun)
            ) as response:
                begun = await self._accept(response, begun)
                async with aclosing(_pieces(response.content, self.silence)) as pieces:
                    yield Stream(begun, self._total(), pieces)

    async def finish(self, file: PartialFile) -> None:
        if self.file is None or not self.file.coding:
            return
        coding = Coding(self.where, self.file.coding, self.name, self.expected)
        await file.rewrite(coding.remove)

    def _total(self) -> int | None:
        assert self.file is not None
        if self.file.coding or self.file.length is not None:
            return self.file.length
        return self.expected

    def _request_headers(self, start: int) -> dict[str, str]:
        # Published lengths and digests are of the stored bytes.
        headers = {**self.headers, "Accept-Encoding": "identity"}
        if start and self.file:
            headers |= {"Range": f"bytes={start}-", "If-Range": self.file.validator}
        return headers

    async def _accept(self, response: aiohttp.ClientResponse, start: int) -> int:
        """Return the offset at which the body of *response* begins."""
        match response.status:
            case HTTPStatus.OK:
                self._begin(_File.of(response))
                return 0
            case HTTPStatus.PARTIAL_CONTENT if self._continues(response, start):
                return start
            case (
                HTTPStatus.PARTIAL_CONTENT | HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            ):
                self.file = None
                raise Interrupted(f"{self.where} did not resume at the byte asked for")
            case _:
                raise await self.refused(response)

    def _begin(self, found: _File) -> None:
        if self.file and not self.file.matches(found):
            self._note_replacement()
        if (
            None not in (found.length, self.expected)
            and found.length != self.expected
            and not found.coding
        ):
            raise RemoteError(self._other_length(found.length))
        self.file = found

    def _note_replacement(self) -> None:
        self.replaced = True
        log.warning(
            "File replaced during its download: begun again",
            extra={"host": self.where, "file": self.name},
        )

    def _other_length(self, length: int | None) -> str:
        if self.replaced:
            return (
                f"{self.where}: {self.name} was replaced during its download: it has "
                f"{length} bytes now where {self.expected} were published"
            )
        return (
            f"{self.where} offers {length} bytes where {self.expected} were published"
        )

    def _continues(self, response: aiohttp.ClientResponse, start: int) -> bool:
        stated = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not (self.file and stated and start > 0 and int(stated[1]) == start):
            return False
        if self.file.matches(_File.of(response)):
            return True
        # The server ignored If-Range: the bytes so far are of another file.
        self._note_replacement()
        return False


def _by_status(advice: Mapping[int, str]) -> Refused:
    async def refused(response: aiohttp.ClientResponse) -> RemoteError:
        # The host that was asked, not the one that it redirects to.
        first = response.history[0] if response.history else response
        host = first.url.host or ""
        return refusal(host, response.status, response.headers, advice)

    return refused


def _validator(headers: Mapping[str, str]) -> str:
    """Return a validator for If-Range: a strong ETag, or else a date, or ""."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


async def _pieces(
    content: aiohttp.StreamReader, silence: float
) -> AsyncGenerator[bytearray, None]:
    """
    Yield *content* in pieces of `PIECE` bytes, fewer after *silence* seconds.

    Bytes from before an interruption are yielded first: the next read raises its error
    again, or waits *silence* seconds more.
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


GZIP = b"\x1f\x8b"
MAGIC = {
    (".gz", ".tgz"): GZIP,
    (".zst", ".tzst"): b"\x28\xb5\x2f\xfd",
    (".xz", ".txz"): b"\xfd7zXZ\0",
    (".bz2", ".tbz2"): b"BZh",
    (".zip",): b"PK",
}
"""The first bytes of compressed files, by file name extension."""

NONE = frozenset(
    {"", "identity", "aws-chunked", "none", "binary", "7bit", "8bit", "utf-8", "utf8"}
)
"""
Values of `Content-Encoding` that are no coding.

`aws-chunked` is a remnant of an upload to S3; the others belong in other headers.
"""

CHUNK = 1 << 20


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the content codings of a response, joined by commas; "" for none."""
    stated = headers.get("Content-Encoding", "").lower().split(",")
    return ", ".join(name for each in stated if (name := each.strip()) not in NONE)


@dataclass(frozen=True, slots=True)
class Coding:
    """
    The content coding *name* in which *host* sent *file*.

    Attributes:
        expected: Published size of the file in bytes; None if unknown.
    """

    host: str
    name: str
    file: str
    expected: int | None = None

    def remove(self, arrived: Path, into: Path) -> bool:
        """
        Decode *arrived* to *into*; return False if it is the published file as it is.

        Raises:
            RemoteError: dewy cannot decode the file, or it has not the published size.
        """
        if self._is_published(arrived):
            return False
        if not self._is_gzip():
            raise RemoteError(f"{self._problem()} and cannot decode")
        try:
            with gzip.open(arrived) as source, into.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise RemoteError(
                f"{self._problem()}; it is damaged or cut short"
            ) from None
        if self.expected not in (None, size := into.stat().st_size):
            raise RemoteError(
                f"{self.host} offers {size} bytes where {self.expected} were published"
            )
        return True

    def _is_published(self, arrived: Path) -> bool:
        if arrived.stat().st_size == self.expected:
            return True
        with arrived.open("rb") as file:
            begin = file.read(CHUNK)
        magic = _magic(self.file)
        if not self._is_gzip():
            return bool(magic) and begin.startswith(magic)
        if not begin.startswith(GZIP):
            return True
        return magic == GZIP and not _decoded(begin).startswith(GZIP)

    def _is_gzip(self) -> bool:
        return self.name in ("gzip", "x-gzip")

    def _problem(self) -> str:
        return (
            f"{self.host} sends {self.file} in the encoding {self.name}, "
            "which dewy did not ask for"
        )


def _magic(name: str) -> bytes:
    """Return the first bytes of a file called *name*; b"" if they may be any."""
    lower = name.lower()
    return next((magic for ends, magic in MAGIC.items() if lower.endswith(ends)), b"")


def _decoded(begin: bytes) -> bytes:
    """Return the first decoded bytes of a gzip file that begins with *begin*."""
    try:
        return zlib.decompressobj(31).decompress(begin, len(GZIP))
    except zlib.error:
        return b""
