"""Uploads that go on where they broke, and never end early."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import pytest

from dewy.errors import RemoteError
from dewy.remotes.objects import Objects
from dewy.remotes.objects.gcs import GCSStore
from tests.standins.files import Fault
from tests.standins.front import Front
from tests.standins.gcs_bucket import GCSBucket

MIB = 1 << 20
CONTENT = bytes(16 * MIB) + b"end"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


async def test_version_is_told(store: GCSStore, bucket: GCSBucket, file: Path) -> None:
    version = await Objects(store).upload("key", file)

    stat = await asyncio.to_thread(store.stat, "key")
    assert stat is not None
    assert (16 * MIB + 3, version) == (stat.size, stat.version)
    assert CONTENT == bucket.get("key")


async def test_size_may_be_a_whole_number_of_pieces(
    store: GCSStore, bucket: GCSBucket, file: Path
) -> None:
    os.truncate(file, 16 * MIB)

    await Objects(store).upload("key", file)

    assert bytes(16 * MIB) == bucket.get("key")


@pytest.mark.parametrize("fault", [Fault(503), Fault(then="cut")])
@pytest.mark.parametrize("request_", [1, 2, 3])
async def test_upload_goes_on_after_an_interruption(
    store: GCSStore,
    bucket: GCSBucket,
    front: Front,
    file: Path,
    fault: Fault,
    request_: int,
) -> None:
    """Whether or not the piece had arrived: what is kept is asked for."""
    front.faults += [*[Fault()] * request_, fault]

    await Objects(store).upload("key", file)

    assert CONTENT == bucket.get("key")


async def test_upload_that_gains_nothing_is_given_up(
    store: GCSStore, bucket: GCSBucket, front: Front, file: Path
) -> None:
    front.faults += [Fault(), *[Fault(503)] * 9]

    with pytest.raises(RemoteError, match="503"):
        await Objects(store).upload("key", file)

    assert [] == bucket.keys()


async def test_upload_that_is_aborted_leaves_nothing(
    store: GCSStore, bucket: GCSBucket
) -> None:
    upload = await asyncio.to_thread(store.upload, "key", 9 * MIB)
    await asyncio.to_thread(upload.write, bytes(8 * MIB))
    assert 1 == bucket.unfinished()

    await asyncio.to_thread(upload.abort)

    assert 0 == bucket.unfinished()
    assert [] == bucket.keys()


async def test_upload_that_is_dropped_never_appears(
    store: GCSStore, bucket: GCSBucket
) -> None:
    upload = await asyncio.to_thread(store.upload, "key", 9 * MIB)
    await asyncio.to_thread(upload.write, bytes(8 * MIB))

    del upload
    gc.collect()

    assert [] == bucket.keys()


async def test_upload_without_its_end_is_not_finished(store: GCSStore) -> None:
    upload = await asyncio.to_thread(store.upload, "key", 9 * MIB)
    await asyncio.to_thread(upload.write, bytes(8 * MIB))

    with pytest.raises(RemoteError, match="were stored"):
        await asyncio.to_thread(upload.finish)
