"""Downloads over HTTP that go on where a connection broke, if the file is the same."""

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
"""A server that sends fewer bytes than this within `silence` has stalled."""

Refused = Callable[[aiohttp.ClientResponse], Awaitable[RemoteError]]

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

    A broken connection is taken up where it broke (Range with If-Range, RFC
    9110 §13.1.5) if the server named a validator, else from the beginning. On
    an error, or when cancelled, nothing is left on disk.

    Args:
        session: A session that does not decompress.

        expected: The published size in bytes, where there is one.

        progress: Told of bytes on disk, and of all that are expected.

        advice: The remedies by status, for the message.

        refused: Returns the error for an answer that is not the file, in place of one
            by its status and headers.

    Raises:
        RemoteError: the server did not deliver it whole.
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
    A file as an answer describes it.

    Attributes:
        length: Bytes on the wire, where the server tells them.

        coding: The content coding on the wire, "" for none.
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

    def goes_on(self, part: _File) -> bool:
        """Return whether *part*, a later answer, is about the same file."""
        # A part need not repeat the date (RFC 9110 §15.3.7).
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
        file: The file as the last whole answer described it; None where the next
            attempt has to begin at the beginning.

        replaced: An earlier answer was about another file.
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

    async def settle(self, draft: PartialFile) -> None:
        if self.file is None or not self.file.coding:
            return
        applied = Coding(self.where, self.file.coding, self.name, self.expected)
        await draft.rewrite(applied.remove)

    def _total(self) -> int | None:
        assert self.file is not None
        if self.file.coding or self.file.length is not None:
            return self.file.length
        return self.expected

    def _request_headers(self, start: int) -> dict[str, str]:
        # Length and digest are those of the stored bytes: no coding on the way.
        headers = {**self.headers, "Accept-Encoding": "identity"}
        if start and self.file:
            headers |= {"Range": f"bytes={start}-", "If-Range": self.file.validator}
        return headers

    async def _accept(self, response: aiohttp.ClientResponse, start: int) -> int:
        """Return the byte at which the body of *response* begins."""
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
                raise Interrupted(f"{self.where} did not go on at the byte asked for")
            case _:
                raise await self.refused(response)

    def _begin(self, found: _File) -> None:
        if self.file and not self.file.goes_on(found):
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
        if self.file.goes_on(_File.of(response)):
            return True
        # Whatever it made of If-Range: what has arrived is of another file.
        self._note_replacement()
        return False


def _by_status(advice: Mapping[int, str]) -> Refused:
    async def refused(response: aiohttp.ClientResponse) -> RemoteError:
        # The first one's host: whom it redirects to is its own business.
        first = response.history[0] if response.history else response
        host = first.url.host or ""
        return refusal(host, response.status, response.headers, advice)

    return refused


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


GZIP = b"\x1f\x8b"
MAGIC = {
    (".gz", ".tgz"): GZIP,
    (".zst", ".tzst"): b"\x28\xb5\x2f\xfd",
    (".xz", ".txz"): b"\xfd7zXZ\0",
    (".bz2", ".tbz2"): b"BZh",
    (".zip",): b"PK",
}
"""The first bytes of packed files, by the ends of their names."""

NONE = frozenset(
    {"", "identity", "aws-chunked", "none", "binary", "7bit", "8bit", "utf-8", "utf8"}
)
"""
Values that change nothing.

`aws-chunked` is left of an upload to S3, others are of somebody who misread the name of
the header.
"""

CHUNK = 1 << 20


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the content coding of an answer, "" for none; of several, all."""
    stated = headers.get("Content-Encoding", "").lower().split(",")
    return ", ".join(name for each in stated if (name := each.strip()) not in NONE)


@dataclass(frozen=True, slots=True)
class Coding:
    """
    The coding *name* that *host* put on *file*.

    Attributes:
        expected: Published size of the file in bytes, or None.
    """

    host: str
    name: str
    file: str
    expected: int | None = None

    def remove(self, arrived: Path, into: Path) -> bool:
        """
        Write the file to *into* as it was before; False if it *arrived* as published.

        Raises:
            RemoteError: the coding cannot be taken off, or the file is another one.
        """
        if self._is_published(arrived):
            return False
        if not self._is_gzip():
            raise RemoteError(f"{self._what()} and cannot decode")
        try:
            with gzip.open(arrived) as source, into.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise RemoteError(f"{self._what()}; it is damaged or cut short") from None
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
        return magic == GZIP and not _inside(begin).startswith(GZIP)

    def _is_gzip(self) -> bool:
        return self.name in ("gzip", "x-gzip")

    def _what(self) -> str:
        return (
            f"{self.host} sends {self.file} in the encoding {self.name}, "
            "which dewy did not ask for"
        )


def _magic(name: str) -> bytes:
    """Return the first bytes of a file called *name*, b"" where it may be any."""
    lower = name.lower()
    return next((magic for ends, magic in MAGIC.items() if lower.endswith(ends)), b"")


def _inside(begin: bytes) -> bytes:
    """Return the first bytes of what was packed into a gzip that begins so."""
    try:
        return zlib.decompressobj(31).decompress(begin, len(GZIP))
    except zlib.error:
        return b""
