"""One host asks the registry, and the others read what it was told."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.caches import Versioned
from dewy.caches.memory import MemoryCache
from dewy.deploy import registry_cache
from dewy.deploy.registry_answer import RegistryAnswer
from dewy.deploy.registry_cache import CachedRegistry, Terms, ttl_of
from dewy.errors import (
    Ambiguous,
    ConfigError,
    NoRelease,
    NotYet,
    RateLimited,
    RemoteError,
)
from dewy.notifiers import NoticeKind
from dewy.registries import Candidates
from dewy.registries.candidates import Options
from dewy.release import Deployment, Release
from dewy.system import Clock
from dewy.versions import Selection, Version
from tests.eventually import eventually

KEY = "registry-cache/0123456789abcdef.json"
ONE = Release("v1.0.0", "mem://x/v1.0.0/a", "one")
TWO = Release("v2.0.0", "mem://x/v2.0.0/a", "two")


class Registry:
    """Says *answer*, raises it, or waits for the *gate*."""

    def __init__(self) -> None:
        self.answer: Release | Exception = ONE
        self.asked: list[str | None] = []
        self.reports: list[Deployment] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def current(self, tag: str | None = None) -> Release:
        self.asked.append(tag)
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def report(self, deployment: Deployment) -> None:
        self.reports.append(deployment)


class Cache(MemoryCache):
    """A cache with a clock of its own, and troubles on request."""

    now: float = 5_000_000.0
    reads = 0
    trouble: Exception | None = None
    read_only = False

    async def read(self, key: str) -> Versioned:
        self.reads += 1
        if self.trouble:
            raise self.trouble
        return replace(await super().read(key), now=self.now)

    async def compare_and_set(self, key: str, version: str, value: bytes) -> bool:
        if self.read_only:
            raise RemoteError("the cache is read-only")
        return await super().compare_and_set(key, version, value)


class Site:
    """Hosts with one cache and one registry; *wall* is a host's own clock."""

    def __init__(self, tmp_path: Path) -> None:
        self.cache = Cache(urlsplit(f"mem://{uuid.uuid4().hex}"), tmp_path)
        self.registry = Registry()
        self.told: list[tuple[NoticeKind, str]] = []

    def host(self, wall: float = 0.0) -> CachedRegistry:
        clock = Clock(wall=lambda: wall, jitter=lambda: -0.49)
        return CachedRegistry(
            self.registry,
            self.cache,
            KEY,
            Terms.of(30),
            clock=clock,
            tell=lambda *notice: self.told.append(notice),
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_answer_is_good_for_its_time(site: Site) -> None:
    """By the clock of the store, whatever those of the hosts say."""
    assert ONE == await site.host(wall=1).current()
    site.registry.answer = TWO
    site.cache.now += 29
    assert ONE == await site.host(wall=9e9).current()
    site.cache.now += 2

    assert TWO == await site.host(wall=-5).current()
    assert 2 == len(site.registry.asked)


async def test_hosts_that_ask_at_once_ask_once(site: Site) -> None:
    site.registry.gate.clear()
    asking = [asyncio.create_task(site.host().current()) for _ in range(20)]
    await eventually(lambda: site.registry.asked)
    site.registry.gate.set()

    assert {ONE} == set(await asyncio.gather(*asking))
    assert 1 == len(site.registry.asked)


async def test_dead_host_is_waited_for_no_longer_than_its_claim(site: Site) -> None:
    claim = RegistryAnswer().claimed("dead:1", site.cache.now)
    await site.cache.put(KEY, claim.text())
    asking = asyncio.create_task(site.host().current())
    await eventually(lambda: site.cache.reads >= 3)
    assert not asking.done()
    site.cache.now += 61

    assert ONE == await asking


async def test_cancelled_host_takes_its_claim_back(site: Site) -> None:
    site.registry.gate.clear()
    asking = asyncio.create_task(site.host().current())
    await eventually(lambda: site.registry.asked)
    asking.cancel()
    await asyncio.wait({asking})
    site.registry.gate.set()

    assert RegistryAnswer() == RegistryAnswer.parse(await site.cache.get(KEY))


async def test_old_answer_serves_while_the_registry_fails_and_that_is_said_once(
    site: Site,
) -> None:
    host = site.host()
    await host.current()
    site.registry.answer = RemoteError("the token has expired")
    for _ in range(3):
        site.cache.now += 31
        assert ONE == await host.current()

    assert [NoticeKind.ERROR] == [kind for kind, _ in site.told]
    assert "the token has expired" in site.told[0][1]
    for _ in range(2):
        site.registry.answer = TWO
        site.cache.now += 31
        assert TWO == await host.current()
    site.registry.answer = RemoteError("the token has expired")
    site.cache.now += 31
    await host.current()
    kinds = [kind for kind, _ in site.told]
    assert [NoticeKind.ERROR, NoticeKind.RECOVERY, NoticeKind.ERROR] == kinds


async def test_old_answer_has_an_end(site: Site) -> None:
    await site.host().current()
    site.registry.answer = RemoteError("down")
    site.cache.now += 301

    with pytest.raises(RemoteError, match="down"):
        await site.host().current()


@pytest.mark.parametrize(
    "error", [RemoteError("down"), NoRelease("none here"), NotYet("being published")]
)
async def test_failure_is_shared_as_well(site: Site, error: Exception) -> None:
    """Or every host of the fleet would ask in vain."""
    site.registry.answer = error
    for _ in range(5):
        with pytest.raises(type(error), match=str(error)):
            await site.host().current()

    assert 1 == len(site.registry.asked)
    site.cache.now += 31
    site.registry.answer = ONE
    assert ONE == await site.host().current()


async def test_no_release_answer_supersedes_cached_release(site: Site) -> None:
    await site.host().current()
    site.registry.answer = NoRelease("withdrawn")
    site.cache.now += 31

    with pytest.raises(NoRelease):
        await site.host().current()


async def test_version_with_a_name_is_asked_for_right_there(site: Site) -> None:
    await site.host().current()
    await site.host().current("v1.0.0")

    assert [None, "v1.0.0"] == site.registry.asked


async def test_reports_go_straight_through(site: Site) -> None:
    await site.host().report(None)  # type: ignore[arg-type]

    assert [None] == site.registry.reports


@pytest.mark.parametrize("error", [RemoteError("it is down"), ZeroDivisionError("0")])
async def test_cache_that_fails_costs_a_request_and_is_said_once(
    site: Site, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    site.cache.trouble = error
    host = site.host()
    for _ in range(3):
        assert ONE == await host.current()

    warnings = [r for r in caplog.records if r.levelname == "WARNING"]
    assert 3 == len(site.registry.asked)
    assert 1 == len(warnings)


async def test_damaged_answer_is_told_and_asked_for_anew(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.cache.put(KEY, b"garbage")

    assert ONE == await site.host().current()
    assert ONE == await site.host().current()
    assert 1 == caplog.messages.count("Found a damaged answer in the cache")
    assert [None] == site.registry.asked


async def test_cache_that_cannot_be_written_costs_a_request(site: Site) -> None:
    site.cache.read_only = True

    assert ONE == await site.host().current()


async def test_claim_that_somebody_took_over_is_left_alone(site: Site) -> None:
    site.registry.gate.clear()
    asking = asyncio.create_task(site.host().current())
    await eventually(lambda: site.registry.asked)
    await site.cache.put(KEY, RegistryAnswer(TWO, site.cache.now).text())
    site.registry.gate.set()
    await asking

    assert TWO == RegistryAnswer.parse(await site.cache.get(KEY)).release


def test_terms_are_the_originals() -> None:
    assert Terms(5, 30, 300) == Terms.of(5)
    assert Terms(60, 120, 600) == Terms.of(60)
    assert Terms(600, 300, 6000) == Terms.of(600)


def test_time_is_in_the_url_of_the_cache() -> None:
    assert 90 == ttl_of("redis://host?registry-ttl=1m30s")
    assert 0 == ttl_of("redis://host")
    assert 0 == ttl_of("")
    with pytest.raises(ConfigError, match="non-negative, got -5s"):
        ttl_of("redis://host?registry-ttl=-5s")
    with pytest.raises(ConfigError, match="must be a time"):
        ttl_of("redis://host?registry-ttl=soon")


async def test_second_outage_is_told_where_nothing_is_written(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Hosts that read what others ask for notice the end of the first one."""
    caplog.set_level("INFO")
    await site.host().current()
    host = site.host()
    caplog.clear()
    for _ in range(2):
        site.cache.trouble = RemoteError("down")
        assert ONE == await host.current()
        site.cache.trouble = None
        assert ONE == await host.current()

    lines = ["Went on without the cache", "Cache works again"]
    assert lines * 2 == [m for m in caplog.messages if m in lines]


async def test_release_that_settles_is_asked_for_again(site: Site) -> None:
    """Seconds later, and not when a failure would be forgotten."""
    site.registry.answer = NotYet("being written", settles_in=2.0)
    with pytest.raises(NotYet):
        await site.host().current()
    site.registry.answer = ONE

    assert ONE == await site.host().current()


async def test_time_to_stay_away_is_shared(site: Site) -> None:
    """The registry told one host; the others keep away as long."""
    site.registry.answer = RateLimited("busy", retry_after=600.0)
    with pytest.raises(RateLimited):
        await site.host().current()
    site.cache.now += 100
    with pytest.raises(RateLimited, match="busy") as caught:
        await site.host().current()
    assert pytest.approx(500, abs=5) == caught.value.retry_after
    assert 1 == len(site.registry.asked)

    site.registry.answer = ONE
    site.cache.now += 501
    assert ONE == await site.host().current()


@pytest.mark.parametrize("limited", [1, 2])
async def test_claim_and_answer_are_written_despite_rate_limit(
    site: Site, monkeypatch: pytest.MonkeyPatch, limited: int
) -> None:
    """Where a cache takes one write per second, later is soon enough."""
    write, tries = site.cache.compare_and_set, count(1)

    async def limit(key: str, version: str, value: bytes) -> bool:
        if next(tries) == limited:
            raise RateLimited("one write per second")
        return await write(key, version, value)

    monkeypatch.setattr(site.cache, "compare_and_set", limit)
    assert ONE == await site.host().current()
    assert ONE == await site.host().current()

    assert 1 == len(site.registry.asked)


async def test_cache_that_takes_no_claim_in_time_is_left_aside(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def limit(key: str, version: str, value: bytes) -> bool:
        raise RateLimited("one write per second")

    monkeypatch.setattr(site.cache, "compare_and_set", limit)
    monkeypatch.setattr(registry_cache, "PATIENCE", 0.5)

    assert ONE == await site.host().current()


class Listing(Registry):
    """Lists *names*, of which some cannot be had."""

    def __init__(self) -> None:
        super().__init__()
        self.names = ["v1.0.0", "v1.1.0", "v1.2.0", "nightly"]
        self.troubles: dict[str, NoRelease] = {}

    async def current(self, tag: str | None = None) -> Release:
        self.asked.append(tag)
        if tag in self.troubles:
            raise self.troubles[tag]
        return Release(str(tag), f"mem://x/{tag}/a", str(tag))

    async def candidates(self) -> Candidates:
        self.asked.append(None)
        return self.arrange(self.names)

    def arrange(self, names: Iterable[str]) -> Candidates:
        async def details(version: Version) -> Release:
            return await self.current(version.tag)

        options = Options.read(urlsplit("mem://x"), Selection())
        return options.candidates(names, "x", details)


@pytest.fixture
def listing(site: Site) -> Listing:
    site.registry = listing = Listing()
    since = datetime(2031, 1, 1, tzinfo=UTC)
    listing.troubles = {
        "v1.2.0": NoRelease("for darwin", since=since),
        "v1.1.0": Ambiguous("a and b"),
    }
    return listing


async def test_shared_candidate_list_includes_unavailable_versions(
    site: Site, listing: Listing
) -> None:
    await site.host().candidates()
    listing.asked.clear()

    shared = await site.host().candidates()

    assert ["v1.2.0", "v1.1.0", "v1.0.0"] == [each.tag for each in shared.versions]
    assert frozenset(listing.names) == shared.names
    newest, next_, best = shared.versions
    with pytest.raises(NoRelease, match="for darwin") as caught:
        await shared.details(newest)
    assert datetime(2031, 1, 1, tzinfo=UTC) == caught.value.since
    with pytest.raises(Ambiguous):
        await shared.details(next_)
    assert "v1.0.0" == (await shared.details(best)).tag
    assert [] == listing.asked


async def test_details_that_none_has_asked_for_are_asked_for(
    site: Site, listing: Listing
) -> None:
    """Where the newest one is in quarantine on this host alone."""
    listing.troubles = {}
    await site.host().candidates()
    listing.asked.clear()
    shared = await site.host().candidates()

    assert "v1.1.0" == (await shared.details(shared.versions[1])).tag
    assert ["v1.1.0"] == listing.asked


async def test_list_read_twice_counts_once(site: Site, listing: Listing) -> None:
    """A version is not withdrawn because one list is looked at two times."""
    once, twice = [await site.host().candidates() for _ in range(2)]
    site.cache.now += 31

    assert once.listed == twice.listed
    assert once.listed != (await site.host().candidates()).listed


async def test_answer_without_a_list_is_the_only_candidate(site: Site) -> None:
    """As older ones are, and the original's."""
    shared = await site.host().candidates()

    assert shared.names is None
    assert [ONE] == [await shared.details(each) for each in shared.versions]
