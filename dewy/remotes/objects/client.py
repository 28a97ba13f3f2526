"""An object store as the event loop sees it: in threads, with deadlines."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar, cast

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
"""Seconds for one request and its answer."""

SLOWEST = 1 << 20
"""Bytes per second below which a transfer of a large object is no use."""

PIECE = 8 << 20
"""Bytes that are sent at a time, and so what an upload keeps in memory."""

PIECES = 10_000
"""More than these no store takes for one object."""

SMALLEST = 1 << 20
"""Bytes that a small object may have at least."""

BINARY = "application/octet-stream"


class Objects:
    """
    A bucket.

    Every method raises RemoteError: the store did not do its part. What only
    reads, and what may be done twice, is tried once more where it was
    interrupted; a write that comes too soon after another one waits.
    """

    def __init__(self, store: ObjectStore, effort: Effort = STANDARD) -> None:
        self._store = store
        self._effort = effort
        self._calls = Calls(str(store))

    @classmethod
    @asynccontextmanager
    async def opened(cls, place: Location) -> AsyncIterator[Self]:
        """Open the bucket of *place*, for as long as the block lasts."""
        await require_answers(place.files)
        async with cls.lent(await asyncio.to_thread(place.open)) as objects:
            yield objects

    @classmethod
    @asynccontextmanager
    async def lent(cls, store: ObjectStore) -> AsyncIterator[Self]:
        """Lend a bucket that was opened before; it is closed with the block."""
        try:
            yield cls(store)
        finally:
            await to_the_end(store.close)

    async def folders(self, prefix: str) -> list[str]:
        """Return the names between *prefix* and the next slash, sorted."""
        found = [
            folder.removeprefix(prefix).rstrip("/")
            async for page in self.pages(prefix, "/")
            for folder in page.folders
        ]
        return sorted(found)

    async def objects(self, prefix: str) -> list[Stat]:
        """Return all objects whose keys begin with *prefix*, by key."""
        found = [stat async for page in self.pages(prefix) for stat in page.objects]
        return sorted(found, key=lambda stat: stat.key)

    async def pages(
        self, prefix: str, delimiter: str = ""
    ) -> AsyncGenerator[ObjectPage, None]:
        """Yield the pages of all objects whose keys begin with *prefix*."""
        more = ""
        while True:
            page = await self._again(self._store.page, prefix, delimiter, more)
            yield page
            more = page.more
            if not more:
                return

    async def stat(self, key: str) -> Stat | None:
        """Return the object under *key*, or None."""
        return await self._again(self._store.stat, key)

    async def read(self, key: str, limit: int) -> Content | None:
        """Return the small object under *key*, or None."""
        return await self._again(self._store.read, key, limit)

    async def patiently(self, look: Callable[[], Awaitable[T]]) -> T:
        """Return what *look* returns, one of the above, with a download's patience."""
        return await persist(look, self._effort)

    async def put(self, key: str, value: bytes, kind: str = "text/plain") -> str:
        """Write a small object; returns its version."""
        write = partial(self._again, self._store.put, key, value, kind)
        return await self._in_turn(write)

    async def put_if(self, key: str, value: bytes, version: str) -> str | None:
        """
        Write a small object if *version* is the present one; None if it is not.

        Of many at once one is first, and the others learn it from a look: a store
        may take one write per second of an object.
        """

        async def is_present() -> bool:
            found = await self.read(key, SMALLEST)
            return (found.version if found else "") == version

        write = partial(self._put_if, key, value, version)
        return await in_turn(write, self._effort, is_present)

    async def _put_if(self, key: str, value: bytes, version: str) -> str | None:
        """
        Write as `put_if` does, once.

        If the answer was lost, a look tells what came of it: done twice, it would
        take its own success for a defeat.
        """
        try:
            return await self._call(self._store.put_if, key, value, version)
        except Interrupted as exc:
            if exc.retry_after is not None:
                raise
        await self._effort.wait(0.25)
        found = await self.read(key, max(len(value), SMALLEST))
        if found is not None and found.value == value:
            return found.version
        if (found.version if found else "") != version:
            return None
        return await self._call(self._store.put_if, key, value, version)

    async def delete(self, key: str) -> None:
        """Remove what is under *key*, if anything."""
        await self._again(self._store.delete, key)

    async def download(self, stat: Stat, into: Path, progress: Progress) -> None:
        """
        Bring the object *stat* to *into*, and compare it with its digests.

        What broke off is taken up there, a piece at a time; an object that was
        replaced meanwhile is not.

        Raises:
            RemoteError: the store did not deliver it whole.
            DeploymentError: the file could not be written.
        """
        progress(0, stat.size)
        source = ObjectSource(str(self._store), stat, self._piece)
        await transfer(source, into, progress, self._effort)

    async def upload(self, key: str, source: Path) -> str:
        """
        Write the file *source*, which nobody sees there before it is whole.

        Returns its version.
        """
        size = (await asyncio.to_thread(source.stat)).st_size
        if size <= PIECE:
            content = await asyncio.to_thread(source.read_bytes)
            return await self.put(key, content, BINARY)
        async with hurried(key, size):
            return await self._upload(key, source, size)

    async def _upload(self, key: str, source: Path, size: int) -> str:
        length = PIECE * -(-size // (PIECE * PIECES))
        begin = partial(self._again, self._store.upload, key, size)
        upload = await self._in_turn(begin)
        file = await asyncio.to_thread(source.open, "rb")
        try:
            with understood(self._store):
                # A cancellation waits: no two threads may be at one upload.
                while piece := await to_the_end(file.read, length):
                    send = partial(to_the_end, upload.write, piece)
                    await self._in_turn(partial(_renewed, send))
                finish = partial(to_the_end, upload.finish)
                return await self._in_turn(partial(_renewed, finish))
        except BaseException:
            await _abort(upload)
            raise
        finally:
            await asyncio.to_thread(file.close)

    async def _in_turn(self, write: Callable[[], Awaitable[T]]) -> T:
        """Do what *write* does, in a later turn where the store is too busy."""
        return cast("T", await in_turn(write, self._effort, _always))

    async def _piece(self, stat: Stat, offset: int, length: int) -> Piece:
        return await self._call(self._store.piece, stat, offset, length)

    async def _again(
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
        return await _renewed(partial(self._call_once, call, *args, **kwargs))

    async def _call_once(
        self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        try:
            async with asyncio.timeout(DEADLINE):
                await require_answers(self._store.files)
                with understood(self._store):
                    return await self._calls.make(call, *args, **kwargs)
        except TimeoutError:
            raise Interrupted(f"{self._store} did not answer in time") from None


async def _renewed(call: Callable[[], Awaitable[T]]) -> T:
    """Make *call*, once more where access was refused: it may have been renewed."""
    try:
        return await call()
    except AccessRefused:
        return await call()


async def _always() -> bool:
    return True


@asynccontextmanager
async def hurried(key: str, size: int) -> AsyncIterator[None]:
    """
    Give the transfer of so many bytes up where it is too slow to be of use.

    Raises:
        RemoteError: the transfer was too slow.
    """
    try:
        async with asyncio.timeout(DEADLINE + size / SLOWEST):
            yield
    except TimeoutError:
        raise RemoteError(f"{key} arrived too slowly") from None


@contextmanager
def understood(store: ObjectStore) -> Iterator[None]:
    """
    Take it for a fault of *store* that the block makes nothing of its answer.

    Raises:
        RemoteError: the block failed in that way.
    """
    try:
        yield
    except NONSENSE as exc:
        raise RemoteError(
            f"{store} did not answer like an object store: is the address right?"
        ) from exc


async def _abort(upload: Upload) -> None:
    # The remains would cost room until the bucket's own rules remove them.
    with suppress(RemoteError, *NONSENSE):
        await to_the_end(upload.abort)


TURNS = 5
"""Attempts at a write, all within the time that caches have for a call."""

APART = 1.0
"""Seconds between two writes of an object that Google permits."""

LONGEST = 3.0
"""Seconds; a store that asks for more is not waited for here."""


async def in_turn(
    write: Callable[[], Awaitable[T]],
    effort: Effort,
    is_due: Callable[[], Awaitable[bool]],
) -> T | None:
    """
    Return what *write* returns, in a later turn where the store takes it only then.

    None if it is not due any more by then.

    Raises:
        RateLimited: the store did not take it in time.
    """
    for _ in range(TURNS - 1):
        try:
            return await write()
        except RateLimited as exc:
            asked = exc.retry_after or 0.0
            if asked > LONGEST:
                raise
        if not await is_due():
            return None
        # Those that wait must not come together again.
        await effort.wait(max(asked, APART) * random.uniform(1.0, 1.3))
    return await write()
