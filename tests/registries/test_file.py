"""What is particular about a directory as a registry; the rest is its contract."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from dewy.errors import ConfigError, NoRelease, NotYet, RemoteError
from dewy.registries.file import FileRegistry
from dewy.release import Deployment, Release
from dewy.remotes import Clients
from dewy.system import Clock
from dewy.versions import Platform, Selection

ARTIFACT = "app_linux_amd64.tar.gz"


class Times:
    """Clocks that stand still until told."""

    def __init__(self, wall: float) -> None:
        self.wall = wall
        self.monotonic = 100.0
        self.clock = Clock(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


class Open(Protocol):
    def __call__(
        self, directory: Path | str, times: Times | None = None
    ) -> FileRegistry: ...


@pytest.fixture
def opened(clients: Clients) -> Open:
    def opened(directory: Path | str, times: Times | None = None) -> FileRegistry:
        url = directory if isinstance(directory, str) else directory.as_uri()
        return FileRegistry(
            urlsplit(url),
            Selection(platform=Platform("linux", "amd64")),
            clients,
            clock=times.clock if times else None,
        )

    return opened


def published(directory: Path, tag: str, name: str = ARTIFACT) -> Path:
    """Publish a version, as of now by every clock but the caller's."""
    path = directory / tag / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"artifact")
    return path


def settled(directory: Path, tag: str, name: str = ARTIFACT) -> Path:
    path = published(directory, tag, name)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def changed(path: Path) -> float:
    """When the content of *path* last changed."""
    return path.stat().st_mtime


async def test_recently_modified_artifact_is_not_offered_yet(
    tmp_path: Path, opened: Open
) -> None:
    """A publisher that copies in place is waited for, not deployed half-way."""
    times = Times(changed(published(tmp_path, "v1.0.0")) + 1.9)
    registry = opened(tmp_path, times)
    with pytest.raises(NotYet, match=ARTIFACT):
        await registry.current()

    times.advance(0.1)

    assert "v1.0.0" == (await registry.current()).tag


async def test_young_version_is_waited_for_not_passed_over(
    tmp_path: Path, opened: Open
) -> None:
    """Nothing older is deployed meanwhile."""
    settled(tmp_path, "v1.0.0")
    times = Times(changed(published(tmp_path, "v1.1.0")))

    with pytest.raises(NotYet, match=r"v1\.1\.0"):
        await opened(tmp_path, times).current()


async def test_artifact_that_grows_between_looks_is_left_alone(
    tmp_path: Path, opened: Open
) -> None:
    """Even by a slow writer that pauses for longer than an artifact is young."""
    path = published(tmp_path, "v1.0.0")
    times = Times(changed(path) + 60)
    registry = opened(tmp_path, times)
    await registry.current()
    with path.open("ab") as file:
        file.write(b", second half")
    os.utime(path, (changed(path) - 10,) * 2)

    with pytest.raises(NotYet):
        await registry.current()

    assert len(b"artifact, second half") == (await registry.current()).size


async def test_time_of_change_that_lies_ahead_does_not_block(
    tmp_path: Path, opened: Open
) -> None:
    """A tool may set it to anything; the kernel's own time of change counts then."""
    path = published(tmp_path, "v1.0.0")
    times = Times(changed(path) + 2.1)
    os.utime(path, (2**32, 2**32))

    assert "v1.0.0" == (await opened(tmp_path, times).current()).tag


async def test_clock_that_was_set_back_does_not_block(
    tmp_path: Path, opened: Open
) -> None:
    """What was watched for as long as an artifact is young has settled."""
    path = published(tmp_path, "v1.0.0")
    times = Times(changed(path) - 86_400)
    registry = opened(tmp_path, times)
    with pytest.raises(NotYet):
        await registry.current()
    times.advance(1.9)
    with pytest.raises(NotYet):
        await registry.current()

    times.advance(0.1)

    assert "v1.0.0" == (await registry.current()).tag


async def test_dot_names_are_nobodys_business(tmp_path: Path, opened: Open) -> None:
    """A publisher may build `.v1.1.0` and rename it, or rsync into one."""
    settled(tmp_path, "v1.0.0")
    settled(tmp_path, "v1.0.0", f".{ARTIFACT}.Xa31b")
    settled(tmp_path, ".v1.1.0")

    release = await opened(tmp_path).current()

    assert ("v1.0.0", ()) == (release.tag, release.files)


async def test_files_are_no_versions_and_directories_no_artifacts(
    tmp_path: Path, opened: Open
) -> None:
    settled(tmp_path, "v1.0.0")
    (tmp_path / "v1.1.0").write_bytes(b"not a directory")
    (tmp_path / "v1.0.0" / "app_linux_amd64.zip").mkdir()

    release = await opened(tmp_path).current()

    assert ("v1.0.0", ARTIFACT) == (release.tag, release.file)


async def test_of_equal_versions_every_host_takes_the_same(
    tmp_path: Path, opened: Open
) -> None:
    for tag in ("v1.0.0+b", "v1.0.0", "v1.0.0+c", "1.0.0", "v1.0.0+a", "1.0.0+z"):
        settled(tmp_path, tag)

    assert "1.0.0" == (await opened(tmp_path).current()).tag


async def test_tag_is_the_name_of_the_directory(tmp_path: Path, opened: Open) -> None:
    """Unusual spellings come back as they are, and reports go where they belong."""
    settled(tmp_path, "v1.02.0")
    registry = opened(tmp_path)
    release = await registry.current()
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)

    await registry.report(Deployment(release, "assets", at, 0, "web-01"))

    assert "v1.02.0" == release.tag
    assert ["v1.02.0"] == os.listdir(tmp_path)
    assert 2 == len(os.listdir(tmp_path / "v1.02.0"))


async def test_release_carries_url_identity_time_and_slot(
    tmp_path: Path, opened: Open
) -> None:
    root = tmp_path / "100% odd #?"
    path = settled(root, "v1.0.0+blue", "app v1 linux amd64.tar.gz")

    release = await opened(root).current()

    assert path.as_uri() == release.artifact_url
    assert path.name == release.file
    assert f"file:8:1600000000000000000:{path.stat().st_ino}" == release.identity
    assert datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC) == release.created_at
    assert "blue" == release.slot


async def test_directory_may_be_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Open
) -> None:
    monkeypatch.chdir(tmp_path)
    settled(tmp_path / "dist" / "app", "v1.0.0")

    registry = await asyncio.to_thread(opened, "file://dist/app")

    release = await registry.current()

    assert release.artifact_url.startswith(tmp_path.as_uri())


def test_url_that_names_nothing_is_refused(opened: Open) -> None:
    with pytest.raises(ConfigError, match="path"):
        opened("file://?artifact=x")


async def test_missing_directory_is_a_registry_that_is_down(
    tmp_path: Path, opened: Open
) -> None:
    """It may be on a share that is not mounted: no reason to change anything."""
    with pytest.raises(RemoteError, match="No such file"):
        await opened(tmp_path / "missing").current()


async def test_empty_directory_holds_no_release(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(NoRelease):
        await opened(tmp_path).current()


async def test_lacking_artifact_is_lacking_since_its_directory_changed(
    tmp_path: Path, opened: Open
) -> None:
    (tmp_path / "v1.0.0").mkdir()
    os.utime(tmp_path / "v1.0.0", (1_600_000_000, 1_600_000_000))

    with pytest.raises(NoRelease) as caught:
        await opened(tmp_path).current()

    assert datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC) == caught.value.since


async def test_records_are_no_artifacts(tmp_path: Path, opened: Open) -> None:
    """Not even for a registry that is asked for one by name."""
    name = "shipped_to_web-01_server_at_20310203T040506.000000789Z.txt"
    settled(tmp_path, "v1.0.0", name)

    with pytest.raises(NoRelease):
        await opened(f"{tmp_path.as_uri()}?artifact={name}").current()


async def test_record_holds_the_sentence(tmp_path: Path, opened: Open) -> None:
    settled(tmp_path, "v1.0.0")
    registry = opened(tmp_path)
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    deployment = Deployment(await registry.current(), "server", at, 789, "web_01")

    await registry.report(deployment)

    [record] = (tmp_path / "v1.0.0").glob("shipped_*")
    assert "shipped to web_01 server at 20310203T040506.000000789Z" == (
        record.read_text()
    )
    assert 0o644 == record.stat().st_mode & 0o777


@pytest.mark.parametrize("tag", ["../elsewhere", ".hidden", "a/b"])
async def test_record_is_written_nowhere_else(
    tmp_path: Path, tag: str, opened: Open
) -> None:
    (tmp_path / "elsewhere").mkdir()
    release = replace(Release("", "file:///x", "x"), tag=tag)
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)

    with pytest.raises(RemoteError):
        await opened(tmp_path / "registry").report(
            Deployment(release, "server", at, 789, "web-01")
        )
    assert [] == os.listdir(tmp_path / "elsewhere")


def test_registry_repr_shows_directory(tmp_path: Path, opened: Open) -> None:
    assert f"<FileRegistry {tmp_path}>" == repr(opened(tmp_path))


async def test_link_in_a_circle_hides_no_version(tmp_path: Path, opened: Open) -> None:
    artifact = settled(tmp_path, "v1.0.0")
    times = Times(changed(artifact) + 3600)
    (tmp_path / "v1.1.0").symlink_to("v1.1.0")
    (tmp_path / "v1.0.0" / "loop.tar.gz").symlink_to("loop.tar.gz")

    release = await opened(tmp_path, times).current()

    assert ("v1.0.0", ()) == (release.tag, release.files)


async def test_version_removed_during_lookup_raises_no_release(
    tmp_path: Path, opened: Open
) -> None:
    settled(tmp_path, "v1.1.0")
    candidates = await opened(tmp_path).candidates()
    (tmp_path / "v1.1.0").rename(tmp_path / ".v1.1.0")

    with pytest.raises(NoRelease, match=r"v1\.1\.0 cannot be read: No such file"):
        await candidates.details(candidates.versions[0])
