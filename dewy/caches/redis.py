"""
A cache in Redis: one server, one behind Sentinel, or a Cluster.

Each command concerns a single key, so a Cluster may spread the keys over its nodes.
Small values and manifests are hashes of a value `v` and its version `n`, read and
written by scripts; the one that reads returns the server's time, too.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, unquote

from redis import exceptions
from redis.asyncio import Redis, Sentinel
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError
from redis.backoff import NoBackoff

from .. import urls
from ..config.values import positive_duration
from ..errors import ConfigError, RemoteError
from . import Versioned
from .chunks import ChunkedCache, local_copies
from .outages import (
    ADVICE,
    CALL_TIMEOUT,
    CircuitBreaker,
    authorities,
    is_distrust,
    together,
)

OPTIONS = {"sentinel": "", "cluster": "false", "also": "", "ca": ""}
PORT, SENTINEL_PORT = 6379, 26379
CONNECT = 2.0
SILENCE = 30.0

Client = Redis | RedisCluster
Closing = tuple[Callable[[], Awaitable[None]], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """
    The location of a Redis.

    Attributes:
        hosts: Hosts and ports of the server, of Sentinels, or of nodes of a Cluster.

        sentinel: The service of which Sentinel names the primary, or "".
    """

    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    user: str | None = None
    password: str | None = None
    sentinel: str = ""
    sentinel_password: str | None = None
    cluster: bool = False
    tls: bool = False
    ca: str = ""

    @classmethod
    def of(cls, url: SplitResult, chosen: Mapping[str, str]) -> Self:
        """
        Read the location from a URL and its options, and missing credentials from the
        environment.

        Raises:
            ConfigError: the URL or an option is invalid, or options contradict.
        """
        cluster = urls.boolean("cluster", chosen["cluster"])
        if cluster and chosen["sentinel"]:
            raise ConfigError(f"{url.scheme}:// takes either sentinel= or cluster=true")
        if chosen["also"] and not (cluster or chosen["sentinel"]):
            raise ConfigError("option also= is for Sentinels or Cluster nodes only")
        if not url.hostname:
            raise ConfigError(f"{url.scheme}:// must name a host")
        database = _database(url)
        if cluster and database:
            raise ConfigError("a Redis Cluster has no databases but 0")
        port = SENTINEL_PORT if chosen["sentinel"] else PORT
        env = os.environ.get
        return cls(
            hosts=((url.hostname, url.port or port), *_also(chosen["also"], port)),
            database=database,
            user=unquote(url.username or "") or env("REDIS_USERNAME"),
            password=unquote(url.password or "") or env("REDIS_PASSWORD"),
            sentinel=chosen["sentinel"],
            sentinel_password=env("REDIS_SENTINEL_PASSWORD"),
            cluster=cluster,
            tls=url.scheme == "rediss",
            ca=authorities(chosen["ca"]),
        )

    @property
    def where(self) -> str:
        """The location, for messages."""
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{','.join(f'{host}:{port}' for host, port in self.hosts)}"


def connect(place: Place) -> tuple[Client, Closing]:
    """
    Return a client that connects on first use, and the functions that close it.

    The client does not retry: that would cost seconds.
    """
    given = _connection(place)
    if place.cluster:
        nodes = [ClusterNode(host, port) for host, port in place.hosts]
        cluster = RedisCluster(startup_nodes=nodes, **given)
        return cluster, (cluster.aclose,)
    if place.sentinel:
        asked = {**given, "username": None, "password": place.sentinel_password}
        sentinel = Sentinel(place.hosts, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
        found: Redis = sentinel.master_for(place.sentinel, db=place.database, **given)
        return found, (found.aclose, sentinel.aclose)
    ((host, port),) = place.hosts
    alone = Redis(host=host, port=port, db=place.database, **given)
    return alone, (alone.aclose,)


def _connection(place: Place) -> dict[str, Any]:
    given: dict[str, Any] = {
        "username": place.user,
        "password": place.password,
        "socket_connect_timeout": CONNECT,
        "socket_timeout": SILENCE,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        # The client would look up its own version on disk for every connection.
        "driver_info": None,
    }
    if place.tls:
        given |= {"ssl": True, "ssl_ca_certs": place.ca or None}
    return given


def _database(url: SplitResult) -> int:
    text = url.path.strip("/")
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigError(
            f"{url.scheme}:// takes a number after its host, not {text!r}"
        )
    return int(text or 0)


def _also(text: str, port: int) -> list[tuple[str, int]]:
    found = []
    for item in filter(None, text.split(",")):
        parts = urls.split(f"also://{item}", "option also")
        if not parts.hostname:
            raise ConfigError(f"option also={text!r} must be HOST[:PORT],HOST[:PORT]…")
        found.append((parts.hostname, parts.port or port))
    return found


DEFAULTS = {
    **OPTIONS,
    "prefix": "dewy",
    "ttl": "720h",
    "max-artifact": "1GiB",
    "max-size": "2GiB",
    "registry-ttl": "",
}
FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""The client's exceptions; that of a Cluster is not a RedisError."""

CHUNK = 1 << 20
CHUNK_TIMEOUT = 20.0
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
        self._breaker = CircuitBreaker(place.where)
        self._opening = asyncio.Lock()
        self._client: Client | None = None
        self._closing: Closing = ()

    async def read(self, name: str) -> Versioned:
        async with self._request() as client:
            answer = await client.eval(READ, 1, self._key(name))
        seconds, micros, value, version = answer
        now = int(seconds) + int(micros) / 1e6
        return Versioned(value, (version or b"").decode(), now)

    async def write(self, name: str, value: bytes, version: str | None) -> bool:
        fresh, compared = secrets.token_hex(8), "0" if version is None else "1"
        given = (value, fresh, self._seconds(), compared, version or "")
        async with self._request() as client:
            return bool(await client.eval(WRITE, 1, self._key(name), *given))

    async def fetch(self, name: str) -> bytes | None:
        async with self._request(CHUNK_TIMEOUT) as client:
            found: bytes | None = await client.get(self._key(name))
        return found

    async def place(self, name: str, value: bytes) -> None:
        async with self._request(CHUNK_TIMEOUT) as client:
            await client.set(self._key(name), value, ex=self._seconds())

    async def delete(self, names: Sequence[str]) -> None:
        async with self._request(CHUNK_TIMEOUT) as client:
            for some in _batches(names):
                await together(*(client.unlink(self._key(name)) for name in some))

    async def names(self, prefix: str) -> list[str]:
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", self._key(prefix)) + "*"
        async with self._request(CHUNK_TIMEOUT) as client:
            found = client.scan_iter(match=pattern, count=1000)
            keys = [key.decode() async for key in found]
        return [key.removeprefix(self._key("")) for key in keys]

    async def tend(self, retained: Collection[str]) -> None:
        # Redis itself deletes expired values.
        for some in _batches(sorted(retained)):
            async with self._request() as client:
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
    async def _request(self, seconds: float = CALL_TIMEOUT) -> AsyncIterator[Any]:
        async with self._opening:
            if self._client is None:
                # In a thread: the client looks up its own version on disk.
                made = await asyncio.to_thread(connect, self._place)
                self._client, self._closing = made
        try:
            async with self._breaker.within(seconds):
                yield self._client
        except FAILURES as exc:
            if is_distrust(exc):
                await self._drop_client()
            raise RemoteError(f"{self._breaker.where} {_explanation(exc)}") from exc

    async def _drop_client(self) -> None:
        """Close the client, which keeps the CA certificates that it has read."""
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


def _explanation(exc: Exception) -> str:
    match exc:
        case exceptions.AuthenticationError():
            return "refused access: set REDIS_PASSWORD, or user and password in the URL"
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
            return _cluster_explanation(exc)
        case _ if is_distrust(exc):
            return f"{ADVICE}; option ca= names further authorities"
        case exceptions.TimeoutError():
            return "did not answer in time"
        case exceptions.ConnectionError() | OSError():
            return f"could not be reached: {str(exc).rstrip('.')}"
        case _:
            # An unknown command is quoted with its arguments: AUTH's are secrets.
            return f"refused: {str(exc).partition(', with args')[0]}"


def _cluster_explanation(exc: Exception) -> str:
    match exc.__cause__:
        case exceptions.RedisError() as cause:
            return _explanation(cause)
        case exceptions.RedisClusterException():
            return "is no node of a Cluster: leave the option cluster out"
        case _:
            return f"is a Cluster that cannot be used: {exc}"
