"""Asynchronous access to an object store: blocking calls in threads, with deadlines."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, ParamSpec, Self, TypeVar, cast

from ...errors import AccessRefused, RateLimited, RemoteError
from ...system import to_the_end
from ...threads import Calls
from .. import NONSENSE
from ..transfer import STANDARD, Effort, Interrupted, Progress, persist, transfer
from ..vendor_files import require_answers
from .source import ObjectSource, Piece
from .store import Content, Location, ObjectPage, ObjectStore, Stat, Upload

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = 60.0
"""Seconds for a request and its answer."""

SLOWEST = 1 << 20
"""Bytes per second below which an upload is given up."""

PIECE = 8 << 20
"""Bytes sent at a time, which an upload keeps in memory."""

PIECES = 10_000
"""Maximum number of parts of a multipart upload to S3."""

SMALL = 1 << 20
"""Bytes up to which any small object can be read."""

BINARY = "application/octet-stream"


class Objects:
    """
    Asynchronous client of a bucket.

    Every method raises RemoteError if the store fails. An interrupted request is made
    once more if it is idempotent; a rate-limited write is repeated for a few seconds.
    """

    def __init__(self, store: ObjectStore, effort: Effort = STANDARD) -> None:
        self._store = store
        self._effort = effort
        self._calls = Calls(str(store))

    @classmethod
    @asynccontextmanager
    async def opened(cls, place: Location) -> AsyncIterator[Self]:
        """Open the bucket of *place* for the block."""
        await require_answers(place.files)
        async with cls.lent(await asyncio.to_thread(place.open)) as objects:
            yield objects

    @classmethod
    @asynccontextmanager
    async def lent(cls, store: ObjectStore) -> AsyncIterator[Self]:
        """Use an open *store* for the block, and close it at the end."""
        try:
            yield cls(store)
        finally:
            await to_the_end(store.close)

    async def folders(self, prefix: str) -> list[str]:
        """Return the distinct parts of keys from *prefix* to the next slash, sorted."""
        found = [
            folder.removeprefix(prefix).rstrip("/")
            async for page in self.pages(prefix, "/")
            for folder in page.folders
        ]
        return sorted(found)

    async def objects(self, prefix: str) -> list[Stat]:
        """Return all objects whose keys begin with *prefix*, sorted by key."""
        found = [stat async for page in self.pages(prefix) for stat in page.objects]
        return sorted(found, key=lambda stat: stat.key)

    async def pages(
        self, prefix: str, delimiter: str = ""
    ) -> AsyncGenerator[ObjectPage, None]:
        """Yield the listing of keys that begin with *prefix*, page by page."""
        more, seen = "", set[str]()
        while more not in seen:
            seen.add(more)
            page = await self._retry_once(self._store.page, prefix, delimiter, more)
            yield page
            more = page.more
            if not more:
                return
        raise RemoteError(f"{self._store} lists its objects in circles")

    async def stat(self, key: str) -> Stat | None:
        """Return the description of the object *key*; None if there is none."""
        return await self._retry_once(self._store.stat, key)

    async def read(self, key: str, limit: int) -> Content | None:
        """Return the object *key*, of at most *limit* bytes; None if there is none."""
        return await self._retry_once(self._store.read, key, limit)

    async def patiently(self, look: Callable[[], Awaitable[T]]) -> T:
        """Return what *look* returns, repeated like an interrupted download."""
        return await persist(look, self._effort)

    async def put(self, key: str, value: bytes, kind: str = "text/plain") -> str:
        """Write a small object of the media type *kind*; return its version."""
        write = partial(self._retry_once, self._store.put, key, value, kind)
        return await self._in_turn(write)

    async def put_if(self, key: str, value: bytes, version: str) -> str | None:
        """
        Write a small object if *version* is its current one ("" for none); return the
        new version, or None if it is not.

        While the store limits the rate, as Google's does to a write per second and
        object, read the object: if another writer was faster, no write is needed.
        """

        async def is_current() -> bool:
            found = await self.read(key, SMALL)
            return (found.version if found else "") == version

        write = partial(self._put_if, key, value, version)
        return await in_turn(write, self._effort, is_current)

    async def _put_if(self, key: str, value: bytes, version: str) -> str | None:
        """
        Write as `put_if` does, without waiting for a rate limit.

        If the answer was lost, read the object before another attempt, which would take
        the success of the first for another writer's.
        """
        try:
            return await self._call(self._store.put_if, key, value, version)
        except Interrupted as exc:
            if exc.retry_after is not None:
                raise
        await self._effort.wait(0.25)
        found = await self.read(key, max(len(value), SMALL))
        if found is not None and found.value == value:
            return found.version
        if (found.version if found else "") != version:
            return None
        return await self._call(self._store.put_if, key, value, version)

    async def delete(self, key: str) -> None:
        """Remove the object *key*, if there is one."""
        await self._retry_once(self._store.delete, key)

    async def download(self, stat: Stat, into: Path, progress: Progress) -> None:
        """
        Download the object *stat* to *into*, resuming after interruptions, and check
        its digest.

        Raises:
            RemoteError: the store did not deliver the whole object, or it was replaced.
            DeploymentError: the file could not be written.
        """
        progress(0, stat.size)
        source = ObjectSource(str(self._store), stat, self._piece)
        await transfer(source, into, progress, self._effort)

    async def upload(self, key: str, source: Path) -> str:
        """
        Upload the file *source*; the object appears when it is complete.

        Return its version.

        Raises:
            RemoteError: the store failed, or the upload was too slow.
            OSError: the file cannot be read.
        """
        size = (await asyncio.to_thread(source.stat)).st_size
        if size <= PIECE:
            content = await asyncio.to_thread(source.read_bytes)
            return await self.put(key, content, BINARY)
        async with upload_deadline(key, size):
            return await self._upload(key, source, size)

    async def _upload(self, key: str, source: Path, size: int) -> str:
        # First, for an upload whose file cannot be opened would have to be aborted.
        file = await asyncio.to_thread(source.open, "rb")
        try:
            begin = partial(self._retry_once, self._store.upload, key, size)
            upload = await self._in_turn(begin)
            return await self._send(upload, file, PIECE * -(-size // (PIECE * PIECES)))
        finally:
            await asyncio.to_thread(file.close)

    async def _send(self, upload: Upload, file: BinaryIO, length: int) -> str:
        try:
            with nonsense_translated(self._store):
                # A cancellation waits: an upload is not for two threads at once.
                while piece := await to_the_end(file.read, length):
                    send = partial(to_the_end, upload.write, piece)
                    await self._in_turn(partial(_again_if_refused, send))
                finish = partial(to_the_end, upload.finish)
                return await self._in_turn(partial(_again_if_refused, finish))
        except BaseException:
            await _abort(upload)
            raise

    async def _in_turn(self, write: Callable[[], Awaitable[T]]) -> T:
        """Return what *write* returns, repeated while the store limits the rate."""
        return cast("T", await in_turn(write, self._effort, _always))

    async def _piece(self, stat: Stat, offset: int, length: int) -> Piece:
        return await self._call(self._store.piece, stat, offset, length)

    async def _retry_once(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            return await self._call(call, *args, **kwargs)
        except Interrupted as exc:
            if exc.retry_after is not None:
                raise
            await self._effort.wait(0.25)
            return await self._call(call, *args, **kwargs)

    async def _call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await _again_if_refused(partial(self._call_once, call, *args, **kwargs))

    async def _call_once(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            async with asyncio.timeout(DEADLINE):
                await require_answers(self._store.files)
                with nonsense_translated(self._store):
                    return await self._calls.make(call, *args, **kwargs)
        except TimeoutError:
            raise Interrupted(f"{self._store} did not answer in time") from None


async def _again_if_refused(call: Callable[[], Awaitable[T]]) -> T:
    """Make *call*, once more if access was refused: the next reads credentials anew."""
    try:
        return await call()
    except AccessRefused:
        return await call()


async def _always() -> bool:
    return True


@asynccontextmanager
async def upload_deadline(key: str, size: int) -> AsyncIterator[None]:
    """
    Limit the time for an upload of *size* bytes.

    Raises:
        RemoteError: the upload was too slow.
    """
    try:
        async with asyncio.timeout(DEADLINE + size / SLOWEST):
            yield
    except TimeoutError:
        raise RemoteError(f"{key} was uploaded too slowly") from None


@contextmanager
def nonsense_translated(store: ObjectStore) -> Iterator[None]:
    """Turn `NONSENSE`, which an odd answer of *store* raises, into RemoteError."""
    try:
        yield
    except NONSENSE as exc:
        raise RemoteError(
            f"{store} did not answer like an object store: is the address right?"
        ) from exc


async def _abort(upload: Upload) -> None:
    # Parts of an incomplete upload are billed until a rule of the bucket removes them.
    with suppress(RemoteError, *NONSENSE):
        await to_the_end(upload.abort)


WRITE_ATTEMPTS = 5
"""Attempts at a rate-limited write, which fit into the deadline of a cache's call."""

WRITE_INTERVAL = 1.0
"""Seconds between two writes of an object that Google permits."""

MAX_WRITE_WAIT = 3.0
"""Maximum of a store's `Retry-After`, in seconds, that a write waits for."""


async def in_turn(
    write: Callable[[], Awaitable[T]],
    effort: Effort,
    is_due: Callable[[], Awaitable[bool]],
) -> T | None:
    """
    Return what *write* returns, repeated while the store limits the rate; None if it is
    no longer due.

    Raises:
        RateLimited: the store refused all attempts, or asked for a longer wait.
    """
    for _ in range(WRITE_ATTEMPTS - 1):
        try:
            return await write()
        except RateLimited as exc:
            asked = exc.retry_after or 0.0
            if asked > MAX_WRITE_WAIT:
                raise
        if not await is_due():
            return None
        # With jitter, so that waiting hosts do not collide again.
        await effort.wait(max(asked, WRITE_INTERVAL) * random.uniform(1.0, 1.3))
    return await write()
