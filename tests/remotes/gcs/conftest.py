"""A bucket of the stand-in, behind what does to requests what networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dewy.remotes.objects.gcs import GCSStore
from tests.standins.front import Front
from tests.standins.gcs_bucket import GCSBucket
from tests.standins.serving import served


@pytest.fixture
async def bucket() -> GCSBucket:
    return await asyncio.to_thread(GCSBucket)


@pytest.fixture
async def front(
    bucket: GCSBucket, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Front]:
    async with Front(served("tests.standins.gcs")) as front:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.url)
        yield front


@pytest.fixture
async def store(bucket: GCSBucket, front: Front) -> AsyncIterator[GCSStore]:
    store = await asyncio.to_thread(GCSStore, bucket.name)
    yield store
    await asyncio.to_thread(store.close)
