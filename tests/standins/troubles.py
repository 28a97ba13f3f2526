"""Shared caches that get into trouble while hosts use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import needs
from tests.contracts.object_cases import fronted
from tests.standins.consul import Consul, serving
from tests.standins.files import Fault
from tests.standins.redis import redis_server


@dataclass(frozen=True)
class Doomed:
    """A cache at *url*, and what may happen to it."""

    url: str
    slow: Callable[[], Awaitable[object]]
    full: Callable[[], Awaitable[object]]
    read_only: Callable[[], Awaitable[object]]


@asynccontextmanager
async def redis(directory: Path) -> AsyncIterator[Doomed]:
    """A real one, that becomes the replica of another one."""
    needs.require("redis-server")
    async with redis_server(directory) as server, redis_server(directory) as primary:
        say = server.say
        yield Doomed(
            f"redis://127.0.0.1:{server.port}",
            lambda: say("CLIENT", "PAUSE", "60000"),
            lambda: say("CONFIG", "SET", "maxmemory", "1"),
            lambda: say("REPLICAOF", "127.0.0.1", str(primary.port)),
        )


@asynccontextmanager
async def consul_standin(directory: Path) -> AsyncIterator[Doomed]:
    consul = Consul()

    async def hang() -> None:
        consul.hanging = True

    async def refuse(status: int) -> None:
        consul.refusing = status

    async with serving(consul) as port:
        yield Doomed(
            f"consul://127.0.0.1:{port}/app",
            hang,
            lambda: refuse(500),
            lambda: refuse(403),
        )


@asynccontextmanager
async def objects(scheme: str) -> AsyncIterator[Doomed]:
    """A bucket behind what hangs, or refuses to write."""
    async with fronted(scheme) as (_, front, url):

        async def hang() -> None:
            front.hanging = True

        async def refuse(status: int) -> None:
            front.refusing = Fault(status=status)

        yield Doomed(
            url,
            hang,
            lambda: refuse(507),
            lambda: refuse(403),
        )


Case = Callable[[Path], AbstractAsyncContextManager[Doomed]]

TROUBLED: dict[str, Case] = {
    "redis": redis,
    "consul-standin": consul_standin,
    "s3": lambda directory: objects("s3"),
    "gs": lambda directory: objects("gs"),
}
