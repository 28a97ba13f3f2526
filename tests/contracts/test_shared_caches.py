"""What every cache has to do that several hosts share."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from dewy.caches import SharedCache
from dewy.deploy.registry_cache import CachedRegistry, Terms
from dewy.release import Deployment, Release
from tests.contracts.shared_cases import SHARED_CASES, Open, entered

SCOPE = "0123456789abcdef"
KEY = f"{SCOPE}/v1.0.0--app.tar.gz"
CONTENT = os.urandom(900_000)

TIMELESS = {"mem", "consul", "consul-standin"}
"""Those that tell no clock of their own."""


@dataclass
class Fleet:
    """Hosts that share a cache, each with a directory of its own."""

    opening: Open
    stack: AsyncExitStack
    directory: Path

    async def host(self, name: str) -> SharedCache:
        """Another host."""
        place = self.directory / name
        place.mkdir()
        opened = await self.stack.enter_async_context(entered(self.opening, place))
        assert isinstance(opened, SharedCache)
        return cast("SharedCache", opened)

    def file(self, content: bytes) -> Path:
        path = self.directory / "source"
        path.write_bytes(content)
        return path


@pytest.fixture(params=SHARED_CASES)
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    case: Callable[..., object] = SHARED_CASES[request.param]
    async with case(tmp_path) as opening, AsyncExitStack() as stack:  # type: ignore[attr-defined]
        yield Fleet(opening, stack, tmp_path)


async def test_concurrent_compare_and_set_has_single_winner(fleet: Fleet) -> None:
    """Of sixteen that saw the same version."""
    hosts = [await fleet.host(f"host{n}") for n in range(4)]
    seen = await hosts[0].read("answer.json")
    for round_ in range(3):
        won = await asyncio.gather(
            *(
                hosts[n % 4].compare_and_set(
                    "answer.json", seen.version, f"{round_} {n}".encode()
                )
                for n in range(16)
            )
        )
        seen = await hosts[0].read("answer.json")

        assert 1 == sum(won)
        assert f"{round_} {won.index(True)}".encode() == seen.value


async def test_value_written_again_is_another_version(fleet: Fleet) -> None:
    """Another value: to S3 the same one is the same version."""
    host = await fleet.host("one")

    assert await host.compare_and_set("k", "", b"v")
    first = await host.read("k")
    assert await host.compare_and_set("k", first.version, b"v2")
    second = await host.read("k")
    assert not await host.compare_and_set("k", first.version, b"w")
    await host.put("k", b"v3")

    assert 3 == len({first.version, second.version, (await host.read("k")).version})


async def test_value_may_be_written_twice_in_a_row(fleet: Fleet) -> None:
    """As a claim and its answer are; a store that wants a pause gets it."""
    host = await fleet.host("one")
    await host.put("k", b"first")
    await host.put("k", b"second")
    seen = await host.read("k")

    assert await host.compare_and_set("k", seen.version, b"third")
    assert b"third" == (await host.read("k")).value


class Registry:
    """Counts how often it is asked."""

    asked = 0

    async def current(self, tag: str | None = None) -> Release:
        self.asked += 1
        return Release("v1.0.0", "mem://x/v1.0.0/app.tgz", "one")

    async def report(self, deployment: Deployment) -> None:
        """Take no note of it."""


async def test_hosts_ask_a_registry_once_between_them(fleet: Fleet) -> None:
    """Soon, too: nobody is waited for longer than the answer takes."""
    registry, key = Registry(), "registry-cache/0123456789abcdef.json"
    caches = [await fleet.host(f"host{n}") for n in range(5)]
    hosts = [CachedRegistry(registry, each, key, Terms.of(60.0)) for each in caches]
    async with asyncio.timeout(30):
        for _ in range(3):
            await asyncio.gather(*(host.current() for host in hosts))

    assert 1 == registry.asked


async def test_deleted_key_is_absent_and_rejects_old_version(fleet: Fleet) -> None:
    host = await fleet.host("one")
    await host.put("k", b"v")
    before = await host.read("k")
    await host.delete("k")
    assert (None, "") == ((await host.read("k")).value, (await host.read("k")).version)
    assert not await host.compare_and_set("k", before.version, b"w")
    assert await host.compare_and_set("k", "", b"v2")

    assert not await host.compare_and_set("k", before.version, b"w")


async def test_clock_is_that_of_the_store(
    fleet: Fleet, request: pytest.FixtureRequest
) -> None:
    """Where it tells one; object stores do not for what is not there."""
    host = await fleet.host("one")
    await host.put("key", b"value")
    told = (await host.read("key")).now

    if request.node.callspec.params["fleet"] in TIMELESS:
        assert told is None
    else:
        assert told is not None
        assert abs(told - time.time()) < 3600


async def test_file_stored_by_a_host_is_loaded_by_another(fleet: Fleet) -> None:
    """Which has nothing on its own disk."""
    one, other = await fleet.host("one"), await fleet.host("other")
    await one.store(KEY, fleet.file(CONTENT))

    assert await other.load(KEY, fleet.directory / "into")
    assert CONTENT == (fleet.directory / "into").read_bytes()


async def test_replaced_file_is_loaded_by_hosts_with_stale_copy(
    fleet: Fleet,
) -> None:
    one, other = await fleet.host("one"), await fleet.host("other")
    await one.store(KEY, fleet.file(CONTENT))
    await other.load(KEY, fleet.directory / "first")
    await one.store(KEY, fleet.file(CONTENT[::-1]))

    assert await other.load(KEY, fleet.directory / "second")
    assert CONTENT[::-1] == (fleet.directory / "second").read_bytes()


async def test_deleted_file_is_gone_for_all(fleet: Fleet) -> None:
    one, other = await fleet.host("one"), await fleet.host("other")
    await one.store(KEY, fleet.file(CONTENT))
    await other.load(KEY, fleet.directory / "first")
    await other.delete(KEY)

    assert not await one.load(KEY, fleet.directory / "second")
    assert [] == await one.keys()


async def test_empty_file_and_odd_names(fleet: Fleet) -> None:
    """A registry may call its tags as it likes."""
    host = await fleet.host("one")
    keys = [f"{SCOPE}/a b+c%2Fd?e#f&g=[h]{{i}}*.tgz", f"{SCOPE}/ü--ß"]
    for key in keys:
        await host.store(key, fleet.file(b""))
        await host.put(f"{key}.json", key.encode())

    assert await host.load(keys[0], fleet.directory / "into")
    assert b"" == (fleet.directory / "into").read_bytes()
    assert keys[1].encode() == await host.get(f"{keys[1]}.json")
    assert [keys[0], f"{keys[0]}.json"] == await host.keys(keys[0])
