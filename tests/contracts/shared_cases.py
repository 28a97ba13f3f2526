"""
Caches that several hosts share, as the contract suites drive them.

A case yields what opens the cache as another host sees it, given the directory
of that host. Enter what it returns, if it is to be entered.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from shutil import which

import pytest

from dewy.caches import CACHES, Cache
from tests import needs
from tests.contracts.cases import Make
from tests.eventually import eventually
from tests.standins.consul import Consul, serving
from tests.standins.redis import free_port, redis_server

Open = Callable[[Path], Cache]


@asynccontextmanager
async def entered(opening: Open, directory: Path) -> AsyncIterator[Cache]:
    """What *opening* opens, in its context if it has one."""
    # In a thread, because the first use of a scheme imports from disk.
    opened = await asyncio.to_thread(opening, directory)
    async with AsyncExitStack() as stack:
        if hasattr(opened, "__aenter__"):
            await stack.enter_async_context(opened)
        yield opened


def opens(url: str) -> Open:
    return lambda directory: CACHES.open(url, directory)


def as_cache(case: Make[Open]) -> Make[Cache]:
    """One host's view of *case*."""

    @asynccontextmanager
    async def make(tmp_path: Path) -> AsyncIterator[Cache]:
        async with case(tmp_path) as opening, entered(opening, tmp_path) as cache:
            yield cache

    return make


@asynccontextmanager
async def memory(tmp_path: Path) -> AsyncIterator[Open]:
    yield opens(f"mem://{uuid.uuid4().hex}?max-size=100MB")


@asynccontextmanager
async def redis(tmp_path: Path) -> AsyncIterator[Open]:
    needs.require("redis-server")
    async with redis_server(tmp_path / "servers") as server:
        yield opens(f"redis://127.0.0.1:{server.port}/1?max-artifact=1MB")


@asynccontextmanager
async def consul_standin(tmp_path: Path) -> AsyncIterator[Open]:
    async with serving(Consul()) as port:
        yield opens(f"consul://127.0.0.1:{port}/some/app?max-artifact=1MB")


@asynccontextmanager
async def consul(tmp_path: Path) -> AsyncIterator[Open]:
    """The real program, as a development server."""
    if which("consul") is None:
        pytest.skip("no consul here: only its stand-in was tested")
    ports = {name: free_port() for name in ("http", "server", "serf-lan", "serf-wan")}
    given = [f"-{name}-port={port}" for name, port in ports.items()]
    others = ["-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1"]
    process = await asyncio.create_subprocess_exec(
        str(which("consul")),
        *("agent", "-dev", "-bind=127.0.0.1", *given, *others),
        stdout=asyncio.subprocess.DEVNULL,
    )
    url = f"consul://127.0.0.1:{ports['http']}/some/app?max-artifact=1MB"

    async def writes() -> bool:
        with suppress(Exception):
            async with entered(opens(url), tmp_path) as cache:
                await cache.put("probe", b"")
                await cache.delete("probe")
                return True
        return False

    try:
        await eventually(writes)
        yield opens(url)
    finally:
        process.terminate()
        await process.wait()


SHARED_CASES: dict[str, Make[Open]] = {
    "mem": memory,
    "redis": redis,
    "consul-standin": consul_standin,
    "consul": consul,
}
