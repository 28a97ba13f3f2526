"""The cases of object stores: S3 by moto, and a stand-in for Google's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.caches import CACHES
from dewy.registries import REGISTRIES
from dewy.release import Release
from dewy.remotes import Clients
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
from tests.standins.buckets import BUCKETS, Bucket

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
