"""What is particular about buckets as registries; the rest is their contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from dewy.errors import NoRelease, RemoteError
from dewy.registries.candidates import Options
from dewy.registries.objects import ObjectRegistry
from dewy.release import Deployment
from dewy.remotes import Clients
from dewy.versions import Platform, Selection
from tests.standins.memory_objects import MemoryObjects

ARTIFACT = "app_linux_amd64.tar.gz"


@pytest.fixture
def store() -> MemoryObjects:
    return MemoryObjects("apps/app")


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with Clients() as clients:
        yield clients


def registry(store: MemoryObjects, clients: Clients, query: str = "") -> ObjectRegistry:
    selection = Selection(platform=Platform("linux", "amd64"))
    options = Options.read(urlsplit(f"memory://bucket{query}"), selection)
    return ObjectRegistry(store, options, clients)


def published(store: MemoryObjects, tag: str, *names: str) -> None:
    for name in names or (ARTIFACT,):
        store.put(f"apps/app/{tag}/{name}", b"artifact", "")


async def test_report_is_stored_under_verbatim_tag_folder(
    store: MemoryObjects, clients: Clients
) -> None:
    """Leading zeros included: `v1.02.0` is no `v1.2.0`."""
    published(store, "v1.02.0")
    opened = registry(store, clients)
    release = await opened.current()

    await opened.report(
        Deployment(release, "server", datetime(2031, 2, 3, tzinfo=UTC), 1, "web-01")
    )

    record = "shipped_to_web-01_server_at_20310203T000000.000000001Z.txt"
    assert "v1.02.0" == release.tag
    assert b"" == store.content[f"apps/app/v1.02.0/{record}"]
    assert not any("v1.2.0" in key for key in store.content)


async def test_error_of_a_report_surfaces(
    store: MemoryObjects, clients: Clients
) -> None:
    published(store, "v1.0.0")
    opened = registry(store, clients)
    release = await opened.current()
    store.fail("put", RemoteError("answered 403"))

    with pytest.raises(RemoteError, match="403"):
        await opened.report(Deployment(release, "server", datetime.now(UTC), 1, "web"))


async def test_reports_alone_are_no_release_to_report_on(
    store: MemoryObjects, clients: Clients
) -> None:
    published(store, "v1.0.0")
    opened = registry(store, clients)
    release = await opened.current()
    deployment = Deployment(release, "server", datetime.now(UTC), 1, "web")
    await opened.report(deployment)
    store.delete(f"apps/app/v1.0.0/{ARTIFACT}")

    with pytest.raises(RemoteError, match="is gone"):
        await opened.report(replace(deployment, nanoseconds=2))


async def test_thousands_of_reports_hide_no_release(
    store: MemoryObjects, clients: Clients
) -> None:
    """They fill whole pages of the list before the artifact comes."""
    published(store, "v1.0.0", f"web_{ARTIFACT}")
    opened = registry(store, clients)
    release = await opened.current()
    deployment = Deployment(release, "server", datetime.now(UTC), 1, "web")
    for number in range(10):
        await opened.report(replace(deployment, nanoseconds=number))

    reports = [key for key in store.content if "shipped_to_web" in key]
    assert 10 == len(reports)
    assert release == await opened.current()


async def test_marks_of_folders_are_no_files(
    store: MemoryObjects, clients: Clients
) -> None:
    """Consoles make empty objects for folders."""
    published(store, "v1.0.0", "", "logs/", ARTIFACT)

    release = await registry(store, clients).current()

    assert (ARTIFACT, ()) == (release.file, release.files)


async def test_release_files_are_limited_to_artifact_folder(
    store: MemoryObjects, clients: Clients
) -> None:
    published(store, "v1.0.0", f"linux/{ARTIFACT}", "linux/SHA256SUMS", "SHA256SUMS")
    query = f"?artifact=linux/{ARTIFACT}"

    release = await registry(store, clients, query).current()

    assert release.artifact_url.endswith(f"/apps/app/v1.0.0/linux/{ARTIFACT}")
    assert ("SHA256SUMS",) == release.files


async def test_grace_counts_from_the_last_file_that_came(
    store: MemoryObjects, clients: Clients
) -> None:
    published(store, "v1.0.0", "app_darwin_arm64.zip", "notes.txt")

    with pytest.raises(NoRelease) as caught:
        await registry(store, clients).current()

    last = store.stat("apps/app/v1.0.0/notes.txt")
    assert last is not None
    assert last.modified == caught.value.since


async def test_message_names_the_place(store: MemoryObjects, clients: Clients) -> None:
    with pytest.raises(NoRelease, match="memory://bucket/apps/app holds no version"):
        await registry(store, clients).current()


async def test_id_stays_with_the_answer(store: MemoryObjects, clients: Clients) -> None:
    published(store, "v1.0.0")
    opened = registry(store, clients)

    assert (await opened.current()).id == (await opened.current()).id


async def test_store_is_closed_with_the_clients(store: MemoryObjects) -> None:
    published(store, "v1.0.0")
    async with Clients() as clients:
        await registry(store, clients).current()

    assert store.closed
