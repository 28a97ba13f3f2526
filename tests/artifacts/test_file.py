"""What is particular about files of this machine; the rest is the contract."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dewy.artifacts import ARTIFACTS, Artifacts
from dewy.errors import ConfigError, DeploymentError, RemoteError
from dewy.ioprocess.reading import PIECE
from dewy.release import Release
from dewy.remotes import Clients, local
from tests.standins.changed_files import CHANGES, touch, truncate


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "app 100%.tgz"
    path.write_bytes(bytes(2 * PIECE + 1))
    return path


Open = Callable[[Path], tuple[Artifacts, Release]]


@pytest.fixture
def opened(clients: Clients) -> Open:
    def opened(path: Path) -> tuple[Artifacts, Release]:
        release = Release("v1.0.0", path.as_uri(), local.identity(path.stat()))
        return ARTIFACTS.open(release.artifact_url, clients), release

    return opened


def ignore(done: int, total: int | None) -> None:
    pass


@pytest.mark.parametrize("change", [truncate, touch])
async def test_file_changed_during_copy_is_rejected(
    source: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    opened: Open,
) -> None:
    """A mixture of two publications is never deployed."""
    store, release = opened(source)

    def change_early(done: int, total: int | None) -> None:
        if done == PIECE:
            change(source)

    with pytest.raises(RemoteError, match="changed"):
        await store.fetch(release, tmp_path / "into", change_early)
    assert [source.name] == os.listdir(tmp_path)


@pytest.mark.parametrize("change", CHANGES)
async def test_file_replaced_after_selection_is_rejected(
    source: Path, tmp_path: Path, change: Callable[[Path], None], opened: Open
) -> None:
    """What is deployed under an identity is what the identity was taken of."""
    store, release = opened(source)
    change(source)

    with pytest.raises(RemoteError, match="replaced"):
        await store.fetch(release, tmp_path / "into", ignore)
    assert [source.name] == os.listdir(tmp_path)


async def test_file_chosen_by_another_kind_of_registry_is_copied(
    source: Path, tmp_path: Path, opened: Open
) -> None:
    store, _ = opened(source)
    release = Release("v1.0.0", source.as_uri(), "sha256:whatever")

    await store.fetch(release, tmp_path / "into", ignore)

    assert 2 * PIECE + 1 == os.stat(tmp_path / "into").st_size


async def test_empty_file_is_copied(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "empty").write_bytes(b"")
    store, release = opened(tmp_path / "empty")

    await store.fetch(release, tmp_path / "into", ignore)

    assert 0 == os.stat(tmp_path / "into").st_size


async def test_disk_that_is_full_fails_the_deployment(
    source: Path, tmp_path: Path, opened: Open
) -> None:
    """That is no fault of the store, and is said as what it is."""
    store, release = opened(source)

    with pytest.raises(DeploymentError):
        await store.fetch(release, tmp_path / "missing" / "into", ignore)


async def test_pipe_is_refused_rather_than_waited_for(
    tmp_path: Path, opened: Open
) -> None:
    os.mkfifo(tmp_path / "pipe")
    store, release = opened(tmp_path / "pipe")

    with pytest.raises(RemoteError, match="regular file"):
        await store.fetch(release, tmp_path / "into", ignore)
    with pytest.raises(RemoteError, match="regular file"):
        await store.read(release, "pipe", 10)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", ".."])
async def test_sibling_path_outside_artifact_directory_is_refused(
    source: Path, name: str, opened: Open
) -> None:
    store, release = opened(source)

    with pytest.raises(RemoteError):
        await store.read(release, name, 1024)


def test_url_that_names_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="path"):
        ARTIFACTS.open("file://?x", Clients())


def test_repr_of_store_shows_path(source: Path, opened: Open) -> None:
    assert f"<FileArtifacts {source}>" == repr(opened(source)[0])
