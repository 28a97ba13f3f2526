from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dewy.artifacts import ARTIFACTS
from dewy.errors import ConfigError, RemoteError
from dewy.registries import REGISTRIES
from dewy.release import Release
from dewy.remotes import Clients
from dewy.versions import Platform, Selection
from tests.standins.github import TOKEN, GitHubServer

ARTIFACT = "app_linux_amd64.tar.gz"
HERE = Selection(platform=Platform("linux", "amd64"))


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GitHubServer]:
    async with GitHubServer() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.api)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield server


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with Clients() as clients:
        yield clients


def release(tag: str = "v1.0.0", file: str = ARTIFACT) -> Release:
    return Release(tag, f"ghr://acme/app/tag/{tag}/{file}", "one")


def content(path: Path) -> bytes:
    """What was fetched."""
    return path.read_bytes()


def ignore(done: int, total: int | None) -> None:
    pass


async def test_asset_is_fetched_through_the_registry_s_client(
    server: GitHubServer, clients: Clients, tmp_path: Path
) -> None:
    """One listing, one request for the asset; the storage sees no token."""
    server.publish("v1.0.0", {ARTIFACT: b"bytes"})
    current = await REGISTRIES.open("ghr://acme/app", HERE, clients).current()
    store = ARTIFACTS.open(current.artifact_url, clients)

    await store.fetch(current, tmp_path / "file", ignore)

    assert b"bytes" == content(tmp_path / "file")
    assert 2 == len(server.seen)
    assert "Authorization" not in server.store.seen[0].headers


async def test_asset_of_an_unlisted_release_is_found_by_its_tag(
    server: GitHubServer, clients: Clients, tmp_path: Path
) -> None:
    """After a restart, or where another registry named the URL."""
    tag = "release/1.0+blue"
    server.publish(tag, {"my app.tar.gz": b"bytes"})
    wanted = release("release%2F1.0+blue", "my%20app.tar.gz")

    await ARTIFACTS.open(wanted.artifact_url, clients).fetch(
        wanted, tmp_path / "file", ignore
    )

    assert b"bytes" == content(tmp_path / "file")
    assert "GET /repos/acme/app/releases/tags/release%2F1.0%2Bblue" == server.paths()[0]


async def test_progress_is_told(
    server: GitHubServer, clients: Clients, tmp_path: Path
) -> None:
    """Against the size that GitHub states."""
    server.publish("v1.0.0", {ARTIFACT: b"bytes"})
    told: list[tuple[int, int | None]] = []

    await ARTIFACTS.open(release().artifact_url, clients).fetch(
        release(), tmp_path / "file", lambda *step: told.append(step)
    )

    assert [(5, 5)] == told


async def test_sibling_is_read(server: GitHubServer, clients: Clients) -> None:
    """A checksum file of the same release, not of another."""
    server.publish("v1.0.0", {ARTIFACT: b"bytes", "SHA256SUMS": b"sums"})
    server.publish("v1.1.0", {ARTIFACT: b"bytes", "SHA256SUMS": b"other"})
    store = ARTIFACTS.open(release().artifact_url, clients)

    assert b"sums" == await store.read(release(), "SHA256SUMS", 1024)


async def test_missing_asset_is_named(
    server: GitHubServer, clients: Clients, tmp_path: Path
) -> None:
    """So is a missing release."""
    store = ARTIFACTS.open(release().artifact_url, clients)
    with pytest.raises(RemoteError, match=r"no release v1\.0\.0"):
        await store.fetch(release(), tmp_path / "file", ignore)
    server.publish("v1.0.0", {ARTIFACT: b"bytes"})

    with pytest.raises(RemoteError, match="holds no asset SHA256SUMS"):
        await store.read(release(), "SHA256SUMS", 1024)


@pytest.mark.parametrize(
    "url",
    [
        "ghr://acme/app",
        "ghr://acme/app/tag/v1",
        "ghr://acme/app/tag/v1/",
        "ghr://acme/app/tag/v1/a/b",
        "ghr://acme/app/release/v1/file",
        "ghr://acme//tag/v1/file",
        "ghr://me:secret@acme/app/tag/v1/file",
    ],
)
async def test_url_has_five_parts(server: GitHubServer, url: str) -> None:
    """Anything else is refused when it is opened, without telling a secret."""
    with pytest.raises(ConfigError) as caught:
        ARTIFACTS.open(url, Clients())

    assert "secret" not in str(caught.value)


def test_public_repository_needs_no_token() -> None:
    opened = ARTIFACTS.open(release().artifact_url, Clients())

    assert "GitHub" in repr(opened)
