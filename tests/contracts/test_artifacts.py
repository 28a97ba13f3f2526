"""What every artifact store has to do, whatever its scheme."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.errors import Missing, RemoteError
from tests.contracts.cases import ARTIFACTS_CASES, ArtifactsCase


@pytest.fixture(params=ARTIFACTS_CASES)
async def case(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[ArtifactsCase]:
    async with ARTIFACTS_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """Where to; its directory is for this alone."""
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging" / "artifact"


def there(into: Path) -> dict[str, bytes]:
    """The files that are beside *into*, itself among them."""
    return {path.name: path.read_bytes() for path in into.parent.iterdir()}


def ignore(done: int, total: int | None) -> None:
    pass


async def test_artifact_arrives_whole(case: ArtifactsCase, into: Path) -> None:
    await case.store.fetch(case.release, into, ignore)

    assert {"artifact": case.content} == there(into)


async def test_progress_grows_to_the_whole(case: ArtifactsCase, into: Path) -> None:
    told: list[tuple[int, int | None]] = []

    await case.store.fetch(case.release, into, lambda *step: told.append(step))

    done = [step[0] for step in told]
    assert sorted(done) == done
    assert (len(case.content), len(case.content)) == told[-1]
    assert len(told) > 1


async def test_failed_download_leaves_no_files(case: ArtifactsCase, into: Path) -> None:
    await case.break_down()

    with pytest.raises(RemoteError):
        await case.store.fetch(case.release, into, ignore)

    assert {} == there(into)


async def test_cancelled_download_leaves_no_files(
    case: ArtifactsCase, into: Path
) -> None:
    def cancel(done: int, total: int | None) -> None:
        fetching.cancel()

    fetching = asyncio.create_task(case.store.fetch(case.release, into, cancel))
    with pytest.raises(asyncio.CancelledError):
        await fetching

    assert {} == there(into)


async def test_small_file_beside_the_artifact_is_read(case: ArtifactsCase) -> None:
    name, content = case.beside

    assert content == await case.store.read(case.release, name, len(content))


async def test_file_over_the_limit_is_not_read(case: ArtifactsCase) -> None:
    name, content = case.beside

    with pytest.raises(RemoteError, match=name):
        await case.store.read(case.release, name, len(content) - 1)


async def test_file_that_is_not_there_is_missing(case: ArtifactsCase) -> None:
    with pytest.raises(Missing, match="SHA512SUMS"):
        await case.store.read(case.release, "SHA512SUMS", 1024)
