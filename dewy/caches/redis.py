"""
A cache in Redis: one server, one behind Sentinel, or a Cluster.

No step touches more than one key, so none of them minds where keys are. Small
values and manifests are hashes of a value `v` and its version `n`, read and
written by scripts, which also tell the server's clock.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError

from .. import urls
from ..config.values import positive_duration
from ..errors import RemoteError
from . import Versioned
from .chunks import ChunkedCache, local_copies
from .circuit_breaker import PATIENCE, CircuitBreaker, together
from .redis_client import OPTIONS, Client, Closing, Place, connect
from .tls import ADVICE, is_distrust

DEFAULTS = {
    **OPTIONS,
    "prefix": "dewy",
    "ttl": "720h",
    "max-artifact": "1GiB",
    "max-size": "2GiB",
    "registry-ttl": "",
}
FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""The client's exceptions; a Cluster's is not derived from the others."""

CHUNK = 1 << 20
CHUNK_PATIENCE = 20.0
AT_ONCE = 256

READ = """
local now = redis.call('TIME')
local found = redis.call('HMGET', KEYS[1], 'v', 'n')
return {now[1], now[2], found[1], found[2]}
"""

WRITE = """
if ARGV[4] == '1' and (redis.call('HGET', KEYS[1], 'n') or '') ~= ARGV[5] then
  return 0
end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'n', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


class RedisStore:
    """Values under *prefix* in the Redis at *place*; each expires after *ttl*."""

    chunk = CHUNK

    def __init__(self, place: Place, prefix: str, ttl: float) -> None:
        self.ttl = ttl
        self._place = place
        self._prefix = prefix
        self._reach = CircuitBreaker(place.where)
        self._opening = asyncio.Lock()
        self._client: Client | None = None
        self._closing: Closing = ()

    async def read(self, name: str) -> Versioned:
        async with self._asking() as client:
            answer = await client.eval(READ, 1, self._key(name))
        seconds, micros, value, version = answer
        now = int(seconds) + int(micros) / 1e6
        return Versioned(value, (version or b"").decode(), now)

    async def write(self, name: str, value: bytes, version: str | None) -> bool:
        fresh, compared = secrets.token_hex(8), "0" if version is None else "1"
        given = (value, fresh, self._seconds(), compared, version or "")
        async with self._asking() as client:
            return bool(await client.eval(WRITE, 1, self._key(name), *given))

    async def fetch(self, name: str) -> bytes | None:
        async with self._asking(CHUNK_PATIENCE) as client:
            found: bytes | None = await client.get(self._key(name))
        return found

    async def place(self, name: str, value: bytes) -> None:
        async with self._asking(CHUNK_PATIENCE) as client:
            await client.set(self._key(name), value, ex=self._seconds())

    async def delete(self, names: Sequence[str]) -> None:
        async with self._asking(CHUNK_PATIENCE) as client:
            for some in _batches(names):
                await together(*(client.unlink(self._key(name)) for name in some))

    async def names(self, prefix: str) -> list[str]:
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", self._key(prefix)) + "*"
        async with self._asking(CHUNK_PATIENCE) as client:
            found = client.scan_iter(match=pattern, count=1000)
            keys = [key.decode() async for key in found]
        return [key.removeprefix(self._key("")) for key in keys]

    async def tend(self, retained: Collection[str]) -> None:
        # Values past their time have expired by themselves.
        for some in _batches(sorted(retained)):
            async with self._asking() as client:
                pipeline = client.pipeline(transaction=False)
                for name in some:
                    pipeline.expire(self._key(name), self._seconds())
                await pipeline.execute()

    async def close(self) -> None:
        for close in self._closing:
            await close()

    def _key(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _seconds(self) -> int:
        return max(1, round(self.ttl))

    @asynccontextmanager
    async def _asking(self, seconds: float = PATIENCE) -> AsyncIterator[Any]:
        async with self._opening:
            if self._client is None:
                # In a thread: it looks up its own version on disk.
                made = await asyncio.to_thread(connect, self._place)
                self._client, self._closing = made
        try:
            async with self._reach.within(seconds):
                yield self._client
        except FAILURES as exc:
            if is_distrust(exc):
                await self._forget()
            raise RemoteError(f"{self._reach.where} {_complaint(exc)}") from exc

    async def _forget(self) -> None:
        """Let go of the client, which keeps the authorities that it has read."""
        self._client, closing = None, self._closing
        self._closing = ()
        for close in closing:
            with suppress(*FAILURES):
                await close()


class RedisCache(ChunkedCache):
    """A cache in `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`."""

    def __init__(self, url: SplitResult, default_directory: Path) -> None:
        chosen = urls.options(url, DEFAULTS)
        self._where = urls.redact(f"{url.scheme}://{url.netloc}")
        store = RedisStore(
            Place.of(url, chosen),
            chosen["prefix"],
            positive_duration(chosen["ttl"], "option ttl"),
        )
        super().__init__(
            store,
            limit=urls.size("max-artifact", chosen["max-artifact"]),
            local=local_copies(default_directory, chosen["max-size"]),
        )

    def __repr__(self) -> str:
        return f"<RedisCache {self._where}>"


def _batches(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE)]


def _complaint(exc: Exception) -> str:
    match exc:
        case exceptions.AuthenticationError():
            return "refused us: set REDIS_PASSWORD, or put user and password in the URL"
        case exceptions.NoPermissionError():
            return f"does not permit a command that is needed: {exc}"
        case exceptions.ReadOnlyError():
            return "is read-only: name the primary, or let Sentinel find it"
        case exceptions.OutOfMemoryError():
            return "is full: raise its maxmemory, or let it evict"
        case MasterNotFoundError():
            return (
                "found no primary: do its Sentinels answer, and do they watch the"
                " service that option sentinel= names?"
            )
        case exceptions.RedisClusterException():
            return _complaint_of_cluster(exc)
        case _ if is_distrust(exc):
            return f"{ADVICE}; option ca= names further authorities"
        case exceptions.TimeoutError():
            return "did not answer in time"
        case exceptions.ConnectionError() | OSError():
            return f"could not be reached: {str(exc).rstrip('.')}"
        case _:
            return f"refused: {exc}"


def _complaint_of_cluster(exc: Exception) -> str:
    match exc.__cause__:
        case exceptions.RedisError() as cause:
            return _complaint(cause)
        case exceptions.RedisClusterException():
            return "is no node of a Cluster: leave the option cluster out"
        case _:
            return f"is a Cluster that cannot be used: {exc}"
