"""What is particular about artifacts in buckets; the rest is their contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dewy.artifacts.gs import GSArtifacts
from dewy.artifacts.objects import ObjectArtifacts
from dewy.artifacts.s3 import S3Artifacts
from dewy.errors import (
    AccessRefused,
    ConfigError,
    Distrusted,
    Missing,
    RateLimited,
    RemoteError,
)
from dewy.release import Release
from dewy.remotes import Clients
from tests.standins.memory_objects import MemoryObjects

RELEASE = Release("v1.0.0", "memory://bucket/v1.0.0/app", "one", size=5)


@pytest.fixture
def store() -> MemoryObjects:
    store = MemoryObjects("v1.0.0/app")
    store.put("v1.0.0/app", b"bytes", "")
    return store


@pytest.fixture
async def artifacts(store: MemoryObjects) -> AsyncIterator[ObjectArtifacts]:
    async with Clients() as clients:
        yield ObjectArtifacts(store, clients)


def ignore(done: int, total: int | None) -> None:
    pass


async def test_object_of_another_size_is_not_the_release(
    store: MemoryObjects, artifacts: ObjectArtifacts, tmp_path: Path
) -> None:
    store.put("v1.0.0/app", b"other bytes", "")

    with pytest.raises(RemoteError, match="11 bytes where 5 were published"):
        await artifacts.fetch(RELEASE, tmp_path / "into", ignore)

    assert [] == store.pieces


async def test_object_that_is_gone_is_named(
    store: MemoryObjects, artifacts: ObjectArtifacts, tmp_path: Path
) -> None:
    store.delete("v1.0.0/app")

    with pytest.raises(RemoteError, match=r"memory://bucket/v1\.0\.0/app is gone"):
        await artifacts.fetch(RELEASE, tmp_path / "into", ignore)


async def test_busy_store_is_waited_for(
    store: MemoryObjects, artifacts: ObjectArtifacts, tmp_path: Path
) -> None:
    """Also before the first byte, and for a checksum after the last one."""
    for call in ("stat", "piece", "read"):
        store.fail(call, RateLimited("SlowDown", retry_after=0.0))
    store.put("v1.0.0/app.sha256", b"sum", "")

    await artifacts.fetch(RELEASE, tmp_path / "into", ignore)
    assert b"sum" == await artifacts.read(RELEASE, "app.sha256", 10)


async def test_forbidden_object_is_reported_missing(
    store: MemoryObjects, artifacts: ObjectArtifacts
) -> None:
    """Whoever may not list a bucket gets 403 for what is not in it."""
    store.fail("read", *[AccessRefused("403 AccessDenied")] * 2)

    with pytest.raises(Missing, match="AccessDenied"):
        await artifacts.read(RELEASE, "app.sha256", 10)


async def test_untrusted_server_raises_distrusted_not_missing(
    store: MemoryObjects, artifacts: ObjectArtifacts
) -> None:
    """Or whoever is on the way could have a checksum passed over."""
    store.fail("read", *[Distrusted("not trusted")] * 2)

    with pytest.raises(Distrusted):
        await artifacts.read(RELEASE, "app.sha256", 10)


async def test_nothing_but_the_same_folder_is_read(artifacts: ObjectArtifacts) -> None:
    with pytest.raises(RemoteError, match="is not the name of a file"):
        await artifacts.read(RELEASE, "../v0.9.0/app", 10)


async def test_url_without_an_object_is_refused() -> None:
    async with Clients() as clients:
        with pytest.raises(ConfigError, match="names no object"):
            S3Artifacts(urlsplit("s3://eu-central-1/releases"), clients)
        with pytest.raises(ConfigError, match="names no object"):
            GSArtifacts(urlsplit("gs://releases/"), clients)
