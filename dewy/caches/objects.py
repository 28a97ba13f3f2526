"""
A cache in an object store, shared by hosts.

Nothing is evicted: the bucket's lifecycle rules decide how long objects live. Files
that were stored or loaded are also kept on this host, in the directory of the file
cache, and loaded from there while the store holds the same version.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from .. import urls
from ..config.values import duration
from ..remotes.objects import Location, Objects, Stat, prefix
from ..system import to_the_end
from . import Versioned, segments
from .file import FileCache
from .outages import CircuitBreaker

log = logging.getLogger(__name__)

OPTIONS: Mapping[str, str] = {
    "max-artifact": "",
    "max-size": "2GiB",
    "registry-ttl": "",
}

SMALL = 16 << 20
"""Maximum size in bytes of a value, as opposed to a file."""

CALL_TIMEOUT = 15.0
"""Deadline of a call in seconds; it may have to fetch credentials first."""

TRANSFER = 30.0
"""Seconds for a transfer, besides those that its size allows."""

SLOWEST = 1 << 20
"""Bytes per second; a slower transfer is abandoned."""


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """
    The sizes and times in a cache's URL.

    Attributes:
        artifact: Maximum size of a file in bytes; None for no limit.

        local: Maximum size of all copies on this host, such as `2GiB`.

        registry_ttl: Seconds for which hosts share the registry's answer.
    """

    artifact: int | None
    local: str
    registry_ttl: float

    @classmethod
    def read(cls, url: SplitResult, allowed: Mapping[str, str]) -> Self:
        """
        Parse the query of *url*; *allowed* maps each known option to its default.

        Raises:
            ConfigError: an option is unknown, or its value is invalid.
        """
        chosen = urls.options(url, allowed)
        largest, ttl = chosen["max-artifact"], chosen["registry-ttl"]
        urls.size("max-size", chosen["max-size"])
        return cls(
            urls.size("max-artifact", largest) if largest else None,
            chosen["max-size"],
            duration(ttl, "option registry-ttl") if ttl else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Copied:
    """The record of a copy on this host: version of the object, digest of the file."""

    version: str
    sha256: str

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """Parse a record; None if *text* is something else."""
        try:
            document: dict[str, Any] = json.loads(text)
            return cls(str(document["version"]), str(document["sha256"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None


class ObjectCache:
    """
    A cache under a prefix of a bucket; leaving its context closes it.

    Create it in a thread: it may read files with credentials.

    Attributes:
        registry_ttl: Seconds for which hosts share the registry's answer.

    Raises:
        ConfigError: region, bucket or credentials are invalid.
    """

    def __init__(
        self, location: Location, limits: CacheLimits, default_directory: Path
    ) -> None:
        self.registry_ttl = limits.registry_ttl
        self._location = location
        self._prefix = prefix(location)
        self._largest = limits.artifact
        self._refused: set[str] = set()
        self._breaker = CircuitBreaker(str(location))
        self._store = location.open()
        self._objects = Objects(self._store)
        self._local = FileCache(
            urlsplit(f"file://?max-size={limits.local}"), default_directory
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._location.url(self._prefix)}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._local.close()
        await to_the_end(self._store.close)

    async def get(self, key: str) -> bytes | None:
        return (await self.read(key)).value

    async def put(self, key: str, value: bytes) -> None:
        name = self._key(key)
        async with self._breaker.within(CALL_TIMEOUT):
            await self._objects.put(name, value, "application/octet-stream")

    async def delete(self, key: str) -> None:
        name = self._key(key)
        async with self._breaker.within(CALL_TIMEOUT):
            await self._objects.delete(name)
        await self._delete_copy(key)

    async def keys(self, prefix: str = "") -> list[str]:
        async with self._breaker.within(TRANSFER):
            found = await self._objects.objects(self._prefix + prefix)
        return [stat.key.removeprefix(self._prefix) for stat in found]

    async def store(self, key: str, source: Path) -> bool:
        name = self._key(key)
        size = (await asyncio.to_thread(source.stat)).st_size
        if self._largest is not None and size > self._largest:
            self._refuse(key, size)
            return False
        async with self._breaker.within(_transfer_timeout(size)):
            version = await self._objects.upload(name, source)
        await self._keep_copy(key, version, source)
        return True

    async def load(self, key: str, into: Path) -> bool:
        name = self._key(key)
        async with self._breaker.within(CALL_TIMEOUT):
            stat = await self._objects.stat(name)
        if stat is None:
            return False
        if await asyncio.to_thread(into.exists):
            raise FileExistsError(f"{into} exists")
        if not await self._load_copy(key, stat, into):
            async with self._breaker.within(_transfer_timeout(stat.size)):
                await self._objects.download(stat, into, lambda done, total: None)
            await self._keep_copy(key, stat.version, into)
        return True

    async def read(self, key: str) -> Versioned:
        name = self._key(key)
        async with self._breaker.within(CALL_TIMEOUT):
            found = await self._objects.read(name, SMALL)
        if found is None:
            return Versioned()
        return Versioned(found.value, found.version, found.now)

    async def compare_and_set(self, key: str, version: str, value: bytes) -> bool:
        name = self._key(key)
        async with self._breaker.within(CALL_TIMEOUT):
            return await self._objects.put_if(name, value, version) is not None

    def retain(self, keys: Collection[str]) -> None:
        """Keep the copies of *keys* on this host; the store itself evicts nothing."""
        self._local.retain({name for key in keys for name in (key, _record_key(key))})

    def _key(self, key: str) -> str:
        segments(key)
        return self._prefix + key

    def _refuse(self, key: str, size: int) -> None:
        if key not in self._refused:
            self._refused.add(key)
            log.warning(
                "Not cached: larger than max-artifact",
                extra={"key": key, "bytes": size, "limit": self._largest},
            )

    async def _load_copy(self, key: str, stat: Stat, into: Path) -> bool:
        """Load the copy on this host; False if none is intact and of this version."""
        with suppress(OSError):
            copied = Copied.parse(await self._local.get(_record_key(key)) or b"")
            if copied is None or copied.version != stat.version:
                return False
            if not await self._local.load(key, into):
                return False
            if await asyncio.to_thread(_sha256, into) == copied.sha256:
                return True
            log.warning("Deleted a damaged copy", extra={"key": key})
            await asyncio.to_thread(into.unlink)
            await self._delete_copy(key)
        return False

    async def _keep_copy(self, key: str, version: str, path: Path) -> None:
        """Keep a copy on this host, if it fits."""
        with suppress(OSError):
            copied = Copied(version, await asyncio.to_thread(_sha256, path))
            await self._delete_copy(key)
            if await self._local.store(key, path):
                text = json.dumps(asdict(copied)).encode()
                await self._local.put(_record_key(key), text)

    async def _delete_copy(self, key: str) -> None:
        with suppress(OSError):
            await self._local.delete(_record_key(key))
            await self._local.delete(key)


def _transfer_timeout(size: int) -> float:
    return TRANSFER + size / SLOWEST


def _record_key(key: str) -> str:
    return f"{key}.copied"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
