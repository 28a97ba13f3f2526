"""The cases of object stores: S3 by moto, and a stand-in for Google's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import SplitResult, urlsplit

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.caches import CACHES
from dewy.registries import REGISTRIES
from dewy.release import Release
from dewy.remotes import Clients
from dewy.remotes.objects import Location, ObjectStore
from dewy.remotes.objects import gcs as gcs_store
from dewy.remotes.objects.gcs import GCSLocation
from dewy.remotes.objects.s3 import S3Location
from tests.contracts.cases import (
    ARTIFACT,
    ArtifactsCase,
    Files,
    Make,
    RegistryCase,
    asynchronous,
    selection,
)
from tests.contracts.shared_cases import Open
from tests.standins import s3
from tests.standins.buckets import BUCKETS, Bucket
from tests.standins.files import Fault
from tests.standins.front import Front
from tests.standins.serving import served

SERVERS = {"s3": s3.url, "gs": lambda: served("tests.standins.gcs")}
PLACES: dict[str, Callable[[SplitResult], Location]] = {
    "s3": S3Location.read,
    "gs": GCSLocation.read,
}

P = ParamSpec("P")
T = TypeVar("T")


def elsewhere(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call in another thread, where it may block; here the test does."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *args, **kwargs).result()


@asynccontextmanager
async def bucket(scheme: str) -> AsyncIterator[Bucket]:
    """A new bucket, and the environment in which dewy finds its server."""
    made = await asyncio.to_thread(BUCKETS[scheme])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@asynccontextmanager
async def fronted(scheme: str) -> AsyncIterator[tuple[Bucket, Front, str]]:
    """A new bucket, what stands before its server, and its URL behind that."""
    async with bucket(scheme) as made, Front(SERVERS[scheme]()) as front:
        with pytest.MonkeyPatch.context() as patch:
            if scheme == "gs":
                patch.setenv("STORAGE_EMULATOR_HOST", front.url)
            yield made, front, made.url("dewy", endpoint=front.url)


@dataclass(frozen=True)
class StoreCase:
    """
    An object store, the hands of a publisher, and what befalls its requests.

    Attributes:
        busy: The answer of a server that is to be left alone for 9 s.

        two_a_page: Has lists be cut after two entries.
    """

    store: ObjectStore
    bucket: Bucket
    front: Front
    busy: Fault
    two_a_page: Callable[[pytest.MonkeyPatch], None]


@asynccontextmanager
async def object_store(scheme: str) -> AsyncIterator[StoreCase]:
    async with fronted(scheme) as (made, front, url):
        place = PLACES[scheme](urlsplit(url))
        store = await asyncio.to_thread(place.open)
        yield StoreCase(store, made, front, BUSY[scheme], partial(CUT[scheme], store))
        await asyncio.to_thread(store.close)


def _cut_s3(store: ObjectStore, patch: pytest.MonkeyPatch) -> None:
    client = store._client()  # type: ignore[attr-defined]
    listing = client.list_objects_v2
    patch.setattr(
        client, "list_objects_v2", lambda **asked: listing(**asked, MaxKeys=2)
    )


def _cut_gs(store: ObjectStore, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gcs_store, "PAGE", 2)


CUT = {"s3": _cut_s3, "gs": _cut_gs}
BUSY = {
    "s3": s3.refused(503, "SlowDown", **{"Retry-After": "9"}),
    "gs": Fault(429, {"Retry-After": "9"}),
}


def registry(scheme: str) -> Make[RegistryCase]:
    @asynccontextmanager
    async def make(tmp_path: Path) -> AsyncIterator[RegistryCase]:
        async with bucket(scheme) as store, Clients() as clients:

            def publish(tag: str, files: Files) -> None:
                for name, content in files.items():
                    store.put(f"apps/app/{tag}/{name}", content)

            def records(tag: str) -> list[str]:
                names = [key.rpartition("/")[2] for key in store.keys("apps/app/")]
                return [name for name in names if name.startswith("shipped_")]

            yield RegistryCase(
                open=lambda query, slot: elsewhere(
                    REGISTRIES.open,
                    store.url("apps/app", query),
                    selection(slot),
                    clients,
                ),
                publish=asynchronous(publish),
                break_down=asynchronous(store.drop),
                records=asynchronous(records),
            )

    return make


def artifacts(scheme: str) -> Make[ArtifactsCase]:
    @asynccontextmanager
    async def make(tmp_path: Path) -> AsyncIterator[ArtifactsCase]:
        content, beside = os.urandom(3_000_000), ("SHA256SUMS", b"sums")
        async with bucket(scheme) as store, Clients() as clients:
            store.put(f"app/v1.0.0/{ARTIFACT}", content)
            store.put(f"app/v1.0.0/{beside[0]}", beside[1])
            url = store.url(f"app/v1.0.0/{ARTIFACT}")
            yield ArtifactsCase(
                store=elsewhere(ARTIFACTS.open, url, clients),
                release=Release("v1.0.0", url, "one", size=len(content)),
                content=content,
                beside=beside,
                break_down=asynchronous(store.drop),
            )

    return make


def shared(scheme: str) -> Make[Open]:
    """A bucket as several hosts see it."""

    @asynccontextmanager
    async def make(tmp_path: Path) -> AsyncIterator[Open]:
        async with bucket(scheme) as store:
            url = store.url("dewy", "?max-artifact=1MB")
            yield lambda directory: CACHES.open(url, directory / "local")

    return make
