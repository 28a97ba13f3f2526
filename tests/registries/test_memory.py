"""What is particular about a registry in memory; the rest is its contract."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from dewy.errors import RateLimited
from dewy.registries import REGISTRIES, Registry
from dewy.remotes import Clients
from dewy.remotes.memory import MemoryStore
from dewy.versions import Platform, Selection


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore.named(uuid.uuid4().hex)


def opened(store: MemoryStore) -> Registry:
    selection = Selection(platform=Platform("linux", "amd64"))
    return REGISTRIES.open(f"mem://{store.name}", selection, Clients())


async def test_release_has_url_file_size_time_and_digest(store: MemoryStore) -> None:
    at = datetime(2031, 2, 3, tzinfo=UTC)
    store.publish("v1.0.0", {"site v1.zip": b"12345"}, at=at, digest="sha256:ab")

    release = await opened(store).current()

    assert f"mem://{store.name}/v1.0.0/site%20v1.zip" == release.artifact_url
    assert ("site v1.zip", 5, at) == (release.file, release.size, release.created_at)
    assert ("sha256:ab", "sha256:ab") == (release.digest, release.identity)


async def test_withdrawn_version_is_current_no_more(store: MemoryStore) -> None:
    store.publish("v1.0.0", {"site.zip": b""})
    store.publish("v1.1.0", {"site.zip": b""})
    registry = opened(store)
    assert "v1.1.0" == (await registry.current()).tag

    store.withdraw("v1.1.0")

    assert "v1.0.0" == (await registry.current()).tag


async def test_prepared_fault_is_raised_once(store: MemoryStore) -> None:
    store.publish("v1.0.0", {"site.zip": b""})
    store.fail("current", RateLimited("too often", retry_after=60.0))
    registry = opened(store)

    with pytest.raises(RateLimited) as caught:
        await registry.current()

    assert 60.0 == caught.value.retry_after
    assert "v1.0.0" == (await registry.current()).tag


def test_registry_says_its_name(store: MemoryStore) -> None:
    assert f"<MemoryRegistry mem://{store.name}>" == repr(opened(store))
