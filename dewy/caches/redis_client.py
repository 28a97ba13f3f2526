"""Reading of Redis URLs, and a client for them that gives up soon."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import SplitResult, unquote

from redis.asyncio import Redis, Sentinel
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .. import urls
from ..errors import ConfigError
from .tls import authorities

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
        hosts: Of the server; of Sentinels, or of some nodes of a Cluster.

        sentinel: The service whose primary is meant, or "".
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
        Read it from a URL and its options; what they lack is in the environment.

        Raises:
            ConfigError: the options do not go together, or name nothing.
        """
        cluster = urls.boolean("cluster", chosen["cluster"])
        if cluster and chosen["sentinel"]:
            raise ConfigError(f"{url.scheme}:// has either sentinel= or cluster=true")
        if chosen["also"] and not (cluster or chosen["sentinel"]):
            raise ConfigError("option also= names more Sentinels or Cluster nodes only")
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
    Return a client that connects when it is first used, and what closes it.

    It never tries again by itself: its own way of doing that costs seconds.
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
        # The client would look up its own version on disk, with every connection.
        "driver_info": None,
    }
    if place.tls:
        given |= {"ssl": True, "ssl_ca_certs": place.ca or None}
    return given


def _database(url: SplitResult) -> int:
    text = url.path.strip("/")
    if text and not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{url.scheme}:// has a number after its host, not {text!r}")
    return int(text or 0)


def _also(text: str, port: int) -> list[tuple[str, int]]:
    found = []
    for item in filter(None, text.split(",")):
        parts = urls.split(f"also://{item}", "option also")
        if not parts.hostname:
            raise ConfigError(f"option also={text!r} must be HOST[:PORT],HOST[:PORT]…")
        found.append((parts.hostname, parts.port or port))
    return found
