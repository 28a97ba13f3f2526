"""
Caches over stores of small values, in which files are stored as chunks.

In the store, `value/KEY` is a small value, `file/KEY` the manifest of a file and
`chunk/KEY/SHA256` a chunk of it. The manifest is written last, by compare-and-set, and
deleted first. A file that is found damaged or incomplete loses its manifest, and so is
no longer in the cache; its chunks expire, unless the file is stored again.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import logging
import random
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self
from urllib.parse import urlsplit

from ..errors import RemoteError
from ..system import to_the_end
from . import Versioned, segments
from .disk import create
from .file import FileCache
from .outages import together

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Maximum of concurrent transfers of chunks, which are held in memory."""

SLOWEST = 1 << 20
"""Bytes per second; a slower transfer is abandoned."""

DROPPED = b"{}"
"""Replacement of a manifest, for a file that is dropped."""

UPKEEP = 3600.0
"""Maximum of seconds between two rounds of upkeep."""


class Store(Protocol):
    """
    Small values by name, shared by several hosts.

    Every method has a deadline, and may raise RemoteError.

    Attributes:
        chunk: Maximum size of a value in bytes.

        ttl: Seconds after which values that no host retains expire.
    """

    chunk: int
    ttl: float

    async def read(self, name: str) -> Versioned: ...

    async def write(self, name: str, value: bytes, version: str | None) -> bool:
        """Write a value, unless *version* is given and is no longer the current one."""
        ...

    async def fetch(self, name: str) -> bytes | None:
        """Return a value written by `place`; None if there is none."""
        ...

    async def place(self, name: str, value: bytes) -> None:
        """Write a value without comparing."""
        ...

    async def delete(self, names: Sequence[str]) -> None: ...

    async def names(self, prefix: str) -> list[str]: ...

    async def tend(self, retained: Collection[str]) -> None:
        """Renew *retained* for another `ttl`, and delete what has expired."""
        ...

    async def close(self) -> None: ...


class ChunkedCache:
    """
    A cache shared by hosts; while entered, a task renews what this host retains.

    Args:
        limit: Maximum size of a file in bytes.

        local: Copies on this host of files that were stored or loaded.
    """

    def __init__(self, store: Store, *, limit: int, local: FileCache) -> None:
        self._store = store
        self._limit = limit
        self._local = local
        self._retained: frozenset[str] = frozenset()
        self._refused: set[str] = set()
        self._changed = asyncio.Event()
        self._upkeep: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._upkeep = asyncio.create_task(self._maintain(), name="cache upkeep")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        while self._upkeep is not None and not self._upkeep.done():
            # Repeatedly: a client that is connecting may lose a cancellation.
            self._upkeep.cancel()
            await asyncio.wait({self._upkeep}, timeout=0.2)
        await self._local.close()
        await self._store.close()

    async def get(self, key: str) -> bytes | None:
        return (await self.read(key)).value

    async def read(self, key: str) -> Versioned:
        segments(key)
        return await self._store.read(f"value/{key}")

    async def put(self, key: str, value: bytes) -> None:
        await self._write(key, value, None)

    async def compare_and_set(self, key: str, version: str, value: bytes) -> bool:
        return await self._write(key, value, version)

    async def delete(self, key: str) -> None:
        segments(key)
        with suppress(OSError):
            await self._local.delete(key)
        manifest = BlobManifest.parse((await self._store.read(f"file/{key}")).value)
        await self._store.delete([f"value/{key}", f"file/{key}"])
        if manifest:
            await self._store.delete(_chunks(key, manifest))

    async def keys(self, prefix: str = "") -> list[str]:
        values = await self._store.names(f"value/{prefix}")
        files = await self._store.names(f"file/{prefix}")
        return sorted({name.partition("/")[2] for name in (*values, *files)})

    async def store(self, key: str, source: Path) -> bool:
        segments(key)
        size = (await asyncio.to_thread(source.stat)).st_size
        if size > self._limit:
            self._refuse(key, size)
            return False
        async with asyncio.timeout(_transfer_timeout(size)):
            manifest = await self._upload(key, source)
            await self._publish(key, manifest)
        with suppress(OSError):
            await self._local.store(key, source)
        return True

    async def load(self, key: str, into: Path) -> bool:
        segments(key)
        seen = await self._store.read(f"file/{key}")
        manifest = BlobManifest.parse(seen.value)
        if manifest is None:
            return False
        if await self._load_local(key, into, manifest):
            return True
        async with asyncio.timeout(_transfer_timeout(manifest.size)):
            whole = await self._download(key, into, manifest)
        if not whole:
            await self._discard(key, seen.version)
            return False
        with suppress(OSError):
            await self._local.store(key, into)
        return True

    def retain(self, keys: Collection[str]) -> None:
        self._retained = frozenset(keys)
        self._local.retain(keys)
        self._changed.set()

    async def tend(self) -> None:
        """Renew what this host retains, and delete what no host retains."""
        names = set()
        for key in sorted(self._retained):
            names |= {f"value/{key}", f"file/{key}"}
            manifest = BlobManifest.parse((await self._store.read(f"file/{key}")).value)
            names.update(_chunks(key, manifest) if manifest else ())
        await self._store.tend(names)

    async def _maintain(self) -> None:
        while True:
            delay = min(self._store.ttl / 8, UPKEEP) * random.uniform(0.5, 1.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self.tend()
            except (OSError, RemoteError) as exc:
                log.debug("Cache not kept up", extra={"reason": str(exc)})
            except Exception:
                # A bug must not end the task: what this host retains would expire.
                log.exception("Cache upkeep ran into a fault")

    async def _write(self, key: str, value: bytes, version: str | None) -> bool:
        segments(key)
        if len(value) > self._store.chunk:
            raise OSError(errno.EFBIG, f"more than {self._store.chunk} bytes", key)
        return await self._store.write(f"value/{key}", value, version)

    def _refuse(self, key: str, size: int) -> None:
        if key not in self._refused:
            self._refused.add(key)
            log.warning(
                "Not cached: larger than max-artifact",
                extra={"key": key, "bytes": size, "limit": self._limit},
            )

    async def _upload(self, key: str, source: Path) -> BlobManifest:
        reading = await asyncio.to_thread(Reading, source, self._store.chunk)
        try:
            while chunks := await to_the_end(reading.next, AT_ONCE):
                places = ((f"chunk/{key}/{name}", data) for name, data in chunks)
                await together(*(self._store.place(*each) for each in places))
            return reading.manifest()
        finally:
            reading.close()

    async def _publish(self, key: str, manifest: BlobManifest) -> None:
        name, text = f"file/{key}", manifest.text()
        if len(text) > self._store.chunk:
            raise OSError(errno.EFBIG, "too many chunks", key)
        present = await self._store.read(name)
        while not await self._store.write(name, text, present.version):
            present = await self._store.read(name)
        if before := BlobManifest.parse(present.value):
            gone = set(_chunks(key, before)) - set(_chunks(key, manifest))
            await self._store.delete(sorted(gone))

    async def _discard(self, key: str, version: str) -> None:
        """
        Drop a damaged file, unless another host has replaced it.

        The chunks stay: another host may be storing the file again.
        """
        if await self._store.write(f"file/{key}", DROPPED, version):
            log.warning("Dropped a damaged file from the cache", extra={"key": key})

    async def _load_local(self, key: str, into: Path, manifest: BlobManifest) -> bool:
        try:
            if not await self._local.load(key, into):
                return False
        except FileExistsError:
            raise
        except OSError:
            return False
        if await asyncio.to_thread(is_whole, into, manifest):
            return True
        await asyncio.to_thread(into.unlink)
        with suppress(OSError):
            await self._local.delete(key)
        return False

    async def _download(self, key: str, into: Path, manifest: BlobManifest) -> bool:
        writing, whole = await asyncio.to_thread(Writing, into), False
        try:
            whole = await self._chunks_into(writing, key, manifest)
        finally:
            await to_the_end(lambda: writing.close(keep=whole))
        return whole

    async def _chunks_into(
        self, writing: Writing, key: str, manifest: BlobManifest
    ) -> bool:
        for start in range(0, len(manifest.chunks), AT_ONCE):
            names = manifest.chunks[start : start + AT_ONCE]
            calls = (self._store.fetch(f"chunk/{key}/{name}") for name in names)
            if not await to_the_end(writing.add, names, await together(*calls)):
                return False
        return await asyncio.to_thread(writing.complete, manifest)


def local_copies(directory: Path, size: str) -> FileCache:
    """Return the cache of copies in *directory*, limited to *size*, such as `2GiB`."""
    return FileCache(urlsplit(f"{directory.as_uri()}?max-size={size}"), directory)


def _chunks(key: str, manifest: BlobManifest) -> list[str]:
    # A file may contain the same chunk twice.
    return [f"chunk/{key}/{name}" for name in dict.fromkeys(manifest.chunks)]


def _transfer_timeout(size: int) -> float:
    return 30.0 + size / SLOWEST


@dataclass(frozen=True, slots=True)
class BlobManifest:
    """
    The digests of a file and its chunks.

    Attributes:
        sha256: Digest of the whole file, in lower-case hexadecimal digits.

        size: Size of the file in bytes.

        chunks: Digest of each chunk, in order.
    """

    sha256: str
    size: int
    chunks: tuple[str, ...]

    @classmethod
    def parse(cls, text: bytes | None) -> Self | None:
        """Parse a manifest; None if *text* is something else."""
        try:
            document: dict[str, Any] = json.loads(text or b"")
            made = cls(
                str(document["sha256"]),
                int(document["size"]),
                tuple(map(str, document["chunks"])),
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return made if all("/" not in chunk for chunk in made.chunks) else None

    def text(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Reading:
    """A reader that cuts the file *path* into chunks of *size* bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - closed by its owner
        self._size = size
        self._whole = hashlib.sha256()
        self._bytes = 0
        self._names: list[str] = []

    def next(self, count: int) -> list[tuple[str, bytes]]:
        """Return up to *count* more chunks with their digests; none at the end."""
        found: list[tuple[str, bytes]] = []
        while len(found) < count and (data := self._file.read(self._size)):
            self._whole.update(data)
            self._bytes += len(data)
            self._names.append(hashlib.sha256(data).hexdigest())
            found.append((self._names[-1], data))
        return found

    def manifest(self) -> BlobManifest:
        """Return the manifest of the content read so far."""
        return BlobManifest(self._whole.hexdigest(), self._bytes, tuple(self._names))

    def close(self) -> None:
        self._file.close()


class Writing:
    """
    A writer that puts chunks together in the file *path*, which must not exist.

    Raises:
        FileExistsError: *path* exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = create(path)
        self._whole = hashlib.sha256()
        self._bytes = 0

    def add(self, names: Sequence[str], chunks: Sequence[bytes | None]) -> bool:
        """Append *chunks*; False if one is missing, or has another digest."""
        for name, chunk in zip(names, chunks, strict=True):
            if chunk is None or hashlib.sha256(chunk).hexdigest() != name:
                return False
            self._file.write(chunk)
            self._whole.update(chunk)
            self._bytes += len(chunk)
        return True

    def complete(self, manifest: BlobManifest) -> bool:
        """Return whether the content written is the one that *manifest* describes."""
        self._file.flush()
        return (manifest.sha256, manifest.size) == (
            self._whole.hexdigest(),
            self._bytes,
        )

    def close(self, *, keep: bool) -> None:
        self._file.close()
        if not keep:
            self._path.unlink(missing_ok=True)


def is_whole(path: Path, manifest: BlobManifest) -> bool:
    """Return whether the file at *path* is the one that *manifest* describes."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return (found, file.tell()) == (manifest.sha256, manifest.size)
