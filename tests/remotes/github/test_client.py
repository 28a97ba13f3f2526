from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from dewy.errors import RateLimited, RemoteError
from dewy.remotes import Clients
from dewy.remotes.download import Effort
from dewy.remotes.github import GitHub, GitHubAccount, Repository, connect
from dewy.system import Clock
from tests.standins.files import Fault
from tests.standins.github import TOKEN, GitHubServer

Connect = Callable[..., AbstractAsyncContextManager[GitHub]]

LARGE = random.Random(7).randbytes(3 << 20)


def content(path: Path) -> bytes:
    """What a download brought."""
    return path.read_bytes()


def entries(directory: Path) -> list[Path]:
    """What is in *directory*."""
    return list(directory.iterdir())


async def test_connect_returns_shared_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client per download would be an App token per download."""
    account = GitHubAccount.from_environment({"GH_TOKEN": "ghp_1"})
    async with Clients() as clients:
        assert await connect(clients, account) is await connect(clients, account)


async def test_all_pages_are_listed(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """A hundred releases at a time."""
    for number in range(251):
        server.publish(f"v1.0.{number}")

    listed = await client.releases(repository)

    assert [f"v1.0.{number}" for number in reversed(range(251))] == [
        release.tag for release in listed
    ]
    assert [
        f"GET /repos/acme/app/releases?per_page=100&page={page}" for page in (1, 2, 3)
    ] == server.paths()


async def test_polling_with_nothing_new_is_free(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """
    A host that asks every ten seconds costs one unbilled 304 each time.

    Listing everything on each tick would exhaust the quota of a token that a
    dozen hosts share.
    """
    for number in range(251):
        server.publish(f"v1.0.{number}")
    await client.releases(repository)
    server.forget()

    for _ in range(20):
        assert 251 == len(await client.releases(repository))

    assert [304] * 20 == server.statuses
    assert 0 == server.billed


async def test_new_release_is_seen_at_once(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """Wherever it pushes the others."""
    for number in range(101):
        server.publish(f"v1.0.{number}")
    await client.releases(repository)
    server.publish("v2.0.0")
    server.forget()

    listed = await client.releases(repository)

    assert "v2.0.0" == listed[0].tag
    assert 102 == len(listed)
    assert [200, 200] == server.statuses


async def test_old_releases_are_looked_at_now_and_then(
    server: GitHubServer, connect: Connect, repository: Repository
) -> None:
    """Conditionally, so that this is free as well."""
    now = 0.0
    for number in range(101):
        server.publish(f"v1.0.{number}")
    async with connect(clock=Clock(monotonic=lambda: now)) as client:
        await client.releases(repository)
        server.forget()
        now = 601.0
        await client.releases(repository)

    assert [304, 304] == server.statuses


async def test_release_is_found_by_tag(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """Whatever git allows in one."""
    server.publish("release/1.0+blue")

    found = await client.release(repository, "release/1.0+blue")

    assert found is not None
    assert "release/1.0+blue" == found.tag
    assert ["GET /repos/acme/app/releases/tags/release%2F1.0%2Bblue"] == server.paths()
    assert await client.release(repository, "v9") is None


async def test_listed_release_is_found_without_asking(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """Each download and each report would otherwise list everything again."""
    server.publish("v1.0.0")
    await client.releases(repository)
    server.forget()

    assert "v1.0.0" == (await client.find(repository, "v1.0.0")).tag
    assert [] == server.seen


async def test_release_that_is_gone_is_an_error(
    client: GitHub, repository: Repository
) -> None:
    """By its name."""
    with pytest.raises(RemoteError, match=r"acme/app has no release v1\.0\.0"):
        await client.find(repository, "v1.0.0")


async def test_asset_comes_from_storage_that_never_sees_the_token(
    server: GitHubServer, client: GitHub, repository: Repository, tmp_path: Path
) -> None:
    """The redirect leads to another origin, which answers 400 to a token."""
    server.publish("v1.0.0", {"app.tgz": b"bytes"})
    (release,) = await client.releases(repository)
    server.forget()

    await client.download(repository, release.assets[0], tmp_path / "app.tgz")

    assert b"bytes" == content(tmp_path / "app.tgz")
    asset = release.assets[0].id
    assert [f"GET /repos/acme/app/releases/assets/{asset}"] == server.paths()
    assert "application/octet-stream" == server.seen[0].headers["Accept"]
    assert 1 == len(server.store.seen)
    assert "Authorization" not in server.store.seen[0].headers
    assert "sig=a%2Fb%2B" in server.store.seen[0].path


async def test_interrupted_download_goes_on_with_a_fresh_signature(
    server: GitHubServer, client: GitHub, repository: Repository, tmp_path: Path
) -> None:
    """Signed URLs end after minutes, so each attempt asks GitHub again."""
    server.publish("v1.0.0", {"app.tgz": LARGE})
    (release,) = await client.releases(repository)
    server.store.faults = [Fault(then="cut", after=2 << 20)]
    server.forget()

    await client.download(repository, release.assets[0], tmp_path / "app.tgz")

    assert LARGE == content(tmp_path / "app.tgz")
    assert 2 == len(server.seen)
    first, second = server.store.seen
    assert first.path != second.path
    assert "Range" not in first.headers
    assert second.headers["Range"].startswith("bytes=")
    assert "Authorization" not in second.headers


async def test_truncated_asset_is_refused(
    server: GitHubServer, client: GitHub, repository: Repository, tmp_path: Path
) -> None:
    """By the size that GitHub published."""
    published = server.publish("v1.0.0", {"app.tgz": b"all of it"})
    (release,) = await client.releases(repository)
    server.store.files[f"/blob/{published.assets[0].id}"] = b"half"

    with pytest.raises(RemoteError, match="offers 4 bytes where 9 were published"):
        await client.download(repository, release.assets[0], tmp_path / "app.tgz")

    assert [] == entries(tmp_path)


async def test_limits_reach_downloads_too(
    server: GitHubServer, client: GitHub, repository: Repository, tmp_path: Path
) -> None:
    """With the time to stay away."""
    server.publish("v1.0.0", {"app.tgz": b"bytes"})
    (release,) = await client.releases(repository)
    server.faults = [Fault(status=403, headers={"Retry-After": "30"})]

    with pytest.raises(RateLimited) as caught:
        await client.download(repository, release.assets[0], tmp_path / "app.tgz")

    assert 30.0 == caught.value.retry_after


async def test_small_asset_is_read(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """By the same road; one that is too large is not even asked for."""
    server.publish("v1.0.0", {"sums.txt": b"0a0b"})
    (release,) = await client.releases(repository)
    server.forget()

    assert b"0a0b" == await client.read(repository, release.assets[0], 4)
    assert "Authorization" not in server.store.seen[0].headers
    with pytest.raises(RemoteError, match=r"sums\.txt exceeds 3 bytes"):
        await client.read(repository, release.assets[0], 3)
    assert 1 == len(server.seen)


async def test_asset_larger_than_stated_is_not_read(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """The limit holds for what arrives."""
    published = server.publish("v1.0.0", {"sums.txt": b"0a0b"})
    (release,) = await client.releases(repository)
    server.store.files[f"/blob/{published.assets[0].id}"] = b"x" * 100

    with pytest.raises(RemoteError, match=r"sums\.txt exceeds 4 bytes"):
        await client.read(repository, release.assets[0], 4)


async def test_upload_goes_where_the_release_says(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """On Enterprise that is Enterprise, not the public GitHub."""
    published = server.publish("v1.0.0")
    (release,) = await client.releases(repository)
    server.forget()

    await client.upload(release, "shipped at 12:00+1 & more.txt", "shipped")

    (asset,) = published.assets
    assert "shipped at 12:00+1 & more.txt" == asset.name
    assert (b"shipped", "text/plain") == (asset.data, asset.content_type)
    assert ["POST"] == [seen.method for seen in server.seen]
    assert server.seen[0].path.startswith("/api/uploads/repos/acme/app/releases/1/")


@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:9/api/uploads", "https://uploads.github.com", "", "x:/"]
)
async def test_token_goes_to_no_host_that_an_answer_names(
    server: GitHubServer, client: GitHub, repository: Repository, place: str
) -> None:
    """Only to the API's own, and to the uploads that belong to it."""
    server.uploads_at = place
    server.publish("v1.0.0")
    (release,) = await client.releases(repository)
    server.forget()

    with pytest.raises(RemoteError, match="uploads"):
        await client.upload(release, "shipped.txt", "shipped")

    assert [] == server.seen


async def test_refused_upload_is_an_error(
    server: GitHubServer, client: GitHub, repository: Repository
) -> None:
    """A release holds only so many assets, and each name once."""
    server.publish("v1.0.0", {"shipped.txt": b""})
    (release,) = await client.releases(repository)

    with pytest.raises(RemoteError, match="422"):
        await client.upload(release, "shipped.txt", "shipped")


async def test_token_is_never_told(
    server: GitHubServer,
    client: GitHub,
    repository: Repository,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not in logs, whatever their level."""
    caplog.set_level("DEBUG")
    server.publish("v1.0.0", {"sums.txt": b"0a0b"})
    (release,) = await client.releases(repository)
    await client.read(repository, release.assets[0], 4)

    assert TOKEN not in caplog.text
    assert "sig=" not in caplog.text


async def test_secondary_limit_throws_no_download_away(
    server: GitHubServer, repository: Repository, tmp_path: Path
) -> None:
    """GitHub names no time then, and wants a minute."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    server.publish("v1.0.0", {"app.tgz": LARGE})
    environ = {"GITHUB_API_URL": server.api, "GITHUB_TOKEN": TOKEN}
    account = GitHubAccount.from_environment(environ)
    async with GitHub(account, effort=Effort(wait=wait)) as client:
        (release,) = await client.releases(repository)
        server.store.faults = [Fault(then="cut", after=2 << 20)]
        body = b'{"message": "You have exceeded a secondary rate limit."}'
        limits = [Fault(status=403, body=body)]

        def limit(done: int, total: int | None) -> None:
            server.faults += [limits.pop()] if limits else []

        asset = release.assets[0]
        await client.download(repository, asset, tmp_path / "app.tgz", limit)

    assert [0.5, 60.0] == waits
    assert LARGE == content(tmp_path / "app.tgz")
    assert server.store.ranges()[-1] is not None
