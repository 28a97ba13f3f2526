"""A lease: one host has it, for as long as it renews it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.caches import Versioned
from dewy.caches.memory import MemoryCache
from dewy.deploy.single_flight import Lease, Note, Standing
from dewy.errors import RateLimited
from dewy.system import Clock
from tests.eventually import eventually

KEY = "locks/artifact/0123456789abcdef/v1.0.0--app"


class Site:
    """Hosts that share a cache; *tells* is whether it tells the time."""

    def __init__(self, tmp_path: Path) -> None:
        self.now, self.monotonic, self.tells = 2e9, 0.0, True
        site = self

        class Cache(MemoryCache):
            async def read(self, key: str) -> Versioned:
                seen = await super().read(key)
                return replace(seen, now=site.now if site.tells else None)

        self.cache = Cache(urlsplit(f"mem://{uuid.uuid4().hex}"), tmp_path)

    def host(self, wall: float = 0.0, length: float = 60.0) -> Lease:
        clock = Clock(lambda: wall, lambda: self.monotonic)
        return Lease(self.cache, KEY, length, clock)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_lease_under_contention_has_single_holder(site: Site) -> None:
    taken = await asyncio.gather(*(site.host().take() for _ in range(9)))

    assert 1 == taken.count(Standing.OURS)
    assert 8 == taken.count(Standing.ANOTHERS)


async def test_note_has_the_originals_names(site: Site) -> None:
    await site.host().take()
    document = json.loads(await site.cache.get(KEY) or b"")

    assert {"holder", "value", "acquired_at", "expires_at"} == set(document)
    assert "2033-05-18T03:34:20Z" == document["expires_at"]


async def test_lease_of_dead_holder_expires(site: Site) -> None:
    await site.host().take()
    other = site.host(wall=9e9)
    site.now += 59
    assert Standing.ANOTHERS is await other.take()
    site.now += 2

    assert Standing.OURS is await other.take()


async def test_clock_skew_does_not_extend_lease(site: Site) -> None:
    """Nobody tells the time, and the dead holder's clock was hours ahead."""
    site.tells = False
    await site.host(wall=2e9 + 7200).take()
    other = site.host(wall=2e9)
    assert Standing.ANOTHERS is await other.take()
    site.monotonic += 61

    assert Standing.OURS is await other.take()


async def test_renewed_lease_lasts(site: Site) -> None:
    one, other = site.host(), site.host()
    await one.take()
    for _ in range(5):
        site.now += 50
        site.monotonic += 50
        await one.renew()
        assert Standing.ANOTHERS is await other.take()


async def test_held_lease_is_renewed_automatically(site: Site) -> None:
    one = site.host(length=0.03)
    await one.take()
    before = await site.cache.get(KEY)
    site.now += 1
    keeping = asyncio.create_task(one.keep())

    async def renewed() -> bool:
        return before != await site.cache.get(KEY)

    await eventually(renewed)
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_released_lease_is_available(site: Site) -> None:
    one = site.host()
    await one.take()
    await one.give_back(useless=False)

    assert [] == await site.cache.keys()
    assert Standing.OURS is await site.host().take()


async def test_lease_released_as_useless_does_not_block_other_hosts(site: Site) -> None:
    """What was fetched under it could not be kept for the others."""
    one = site.host()
    await one.take()
    await one.give_back(useless=True)

    assert Standing.USELESS is await site.host().take()
    site.now += 61
    assert Standing.OURS is await site.host().take()


async def test_lease_that_was_lost_is_left_alone(site: Site) -> None:
    one, other = site.host(), site.host()
    await one.take()
    site.now += 61
    await other.take()
    present = await site.cache.get(KEY)

    await one.renew()
    await one.give_back(useless=False)
    await one.give_back(useless=True)

    assert present == await site.cache.get(KEY)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"holder": "a"}'])
async def test_malformed_lease_note_is_ignored(site: Site, text: bytes) -> None:
    await site.cache.put(KEY, text)

    assert Note.parse(text) is None
    assert Standing.OURS is await site.host().take()


async def test_lease_expiry_is_capped_at_ten_minutes(site: Site) -> None:
    note = Note("h:1", "v", "2033-05-18T03:33:20Z", "2099-01-01T00:00:00Z")
    await site.cache.put(KEY, note.text())
    host = site.host()
    assert Standing.ANOTHERS is await host.take()
    site.monotonic += 601

    assert Standing.OURS is await host.take()
    await site.cache.put(KEY, replace(note, expires_at="never").text())
    assert Standing.OURS is await host.take()


async def test_lease_is_taken_and_released_despite_rate_limit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a cache takes one write per second, others see the note all the same."""
    write, limits = site.cache.compare_and_set, deque([True, False, True])

    async def limit(key: str, version: str, value: bytes) -> bool:
        if limits and limits.popleft():
            raise RateLimited("one write per second")
        return await write(key, version, value)

    monkeypatch.setattr(site.cache, "compare_and_set", limit)
    host = site.host()
    assert Standing.ANOTHERS is await host.take()
    assert Standing.OURS is await host.take()
    await host.give_back(useless=True)

    assert Standing.USELESS is await site.host().take()
