from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dewy.deploy.candidates import first
from dewy.errors import ConfigError, NoRelease, RemoteError
from dewy.registries import REGISTRIES, Registry, candidates_of
from dewy.release import Deployment, Release
from dewy.remotes import Clients
from dewy.remotes.github import client
from dewy.versions import Platform, Selection
from tests.standins.files import Fault
from tests.standins.github import TOKEN, GitHubServer

ARTIFACT = "app_linux_amd64.tar.gz"
HERE = Selection(platform=Platform("linux", "amd64"))
FILES = {ARTIFACT: b"bytes", "checksums.txt": b"sums"}

Open = Callable[..., Registry]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GitHubServer]:
    async with GitHubServer() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.api)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield server


@pytest.fixture
async def open_registry(server: GitHubServer) -> AsyncIterator[Open]:
    async with Clients() as clients:

        def open_registry(query: str = "", slot: str = "") -> Registry:
            url = f"ghr://acme/app{query}"
            return REGISTRIES.open(url, replace(HERE, slot=slot), clients)

        yield open_registry


@pytest.fixture
def registry(open_registry: Open) -> Registry:
    return open_registry()


def deployment(release: Release) -> Deployment:
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    return Deployment(release, "server", at, 789, "web-01")


async def test_release_says_where_its_artifact_is(
    server: GitHubServer, registry: Registry
) -> None:
    """And everything the store is checked against later."""
    published = server.publish("v1.2.3", FILES)

    release = await registry.current()

    asset = published.assets[0]
    assert "v1.2.3" == release.tag
    assert f"ghr://acme/app/tag/v1.2.3/{ARTIFACT}" == release.artifact_url
    assert asset.digest == release.digest == release.identity
    assert len(b"bytes") == release.size
    assert datetime(2031, 1, 1, tzinfo=UTC) == release.created_at
    assert ("checksums.txt",) == release.files


async def test_answer_is_called_by_its_time(
    server: GitHubServer, registry: Registry
) -> None:
    """Local time with its offset, as it always was."""
    server.publish("v1.2.3", FILES)

    name = (await registry.current()).id

    assert re.fullmatch(r"\d{8}T\d{6}(Z|[+-]\d{4})", name)


@pytest.mark.parametrize("tag", ["v1.0.0+blue", "v1.0.0-rc.1+a.b"])
async def test_url_of_any_tag_names_five_parts(
    server: GitHubServer, open_registry: Open, tag: str
) -> None:
    """The file's name comes back out of it."""
    server.publish(tag, {"my app_linux_amd64.tar.gz": b""})

    release = await open_registry("?pre-release=true").current()

    assert f"ghr://acme/app/tag/{tag}/my%20{ARTIFACT}" == release.artifact_url
    assert f"my {ARTIFACT}" == release.file


async def test_drafts_do_not_count(server: GitHubServer, registry: Registry) -> None:
    """Neither as the newest nor as one that is asked for."""
    server.publish("v1.0.0", FILES)
    server.publish("v2.0.0", FILES, draft=True)

    assert "v1.0.0" == (await registry.current()).tag
    with pytest.raises(NoRelease, match=r"v2\.0\.0"):
        await registry.current("v2.0.0")


async def test_repository_of_drafts_has_no_release(
    server: GitHubServer, registry: Registry
) -> None:
    """That is not an error of GitHub."""
    server.publish("v2.0.0", FILES, draft=True)

    with pytest.raises(NoRelease, match="acme/app has no published release"):
        await registry.current()


async def test_newest_version_may_be_on_a_later_page(
    server: GitHubServer, registry: Registry
) -> None:
    """Releases are listed by time, and versions are not made in order."""
    server.publish("v2.0.0", FILES)
    for number in range(250):
        server.publish(f"v1.0.{number}", FILES)

    assert "v2.0.0" == (await registry.current()).tag


async def test_steady_polling_is_not_billed(
    server: GitHubServer, registry: Registry
) -> None:
    """One question a tick, answered 304, whatever the number of releases."""
    for number in range(251):
        server.publish(f"v1.0.{number}", FILES)
    first = await registry.current()
    server.forget()

    for _ in range(10):
        assert first == await registry.current()

    assert [304] * 10 == server.statuses
    assert 0 == server.billed


async def test_whole_deployment_lists_releases_once(
    server: GitHubServer, registry: Registry
) -> None:
    """The report knows from the listing where it goes."""
    server.publish("v1.0.0", FILES)
    release = await registry.current()
    await registry.report(deployment(release))

    assert ["GET", "POST"] == [seen.method for seen in server.seen]


async def test_artifact_that_is_still_uploading_is_waited_for(
    server: GitHubServer, registry: Registry
) -> None:
    """GitHub lists it before its bytes are there; the error says since when."""
    server.publish("v1.0.0", FILES)
    release = server.publish("v1.1.0", published_at="2031-01-01T12:00:00Z")
    server.attach(release, ARTIFACT, b"half", state="starter")

    with pytest.raises(NoRelease, match=r"acme/app v1\.1\.0") as caught:
        await registry.current()
    assert datetime(2031, 1, 1, 12, tzinfo=UTC) == caught.value.since

    release.assets[0].state = "uploaded"
    assert "v1.1.0" == (await registry.current()).tag


async def test_replaced_asset_is_another_candidate(
    server: GitHubServer, registry: Registry
) -> None:
    """Also on an Enterprise that states no digests."""
    release = server.publish("v1.0.0")
    server.attach(release, ARTIFACT, b"same length", digest=None)
    before = await registry.current()
    release.assets.clear()
    server.attach(release, ARTIFACT, b"SAME LENGTH", digest=None)

    after = await registry.current()

    assert "" == before.digest == after.digest
    assert before.identity != after.identity


async def test_artifact_may_be_named_by_the_environment(
    server: GitHubServer, open_registry: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL counts first."""
    server.publish("v1.0.0", {**FILES, "site": b"", "other": b""})
    monkeypatch.setenv("GITHUB_ARTIFACT", "site")

    assert "site" == (await open_registry().current()).file
    assert "other" == (await open_registry("?artifact=other").current()).file


async def test_lookup_by_tag_makes_single_request(
    server: GitHubServer, registry: Registry
) -> None:
    """Nothing is listed for it."""
    server.publish("v1.0.0", FILES)
    server.publish("v2.0.0", FILES)

    assert "v1.0.0" == (await registry.current("v1.0.0")).tag
    assert ["GET /repos/acme/app/releases/tags/v1.0.0"] == server.paths()


async def test_report_is_an_asset_of_the_release(
    server: GitHubServer, registry: Registry
) -> None:
    """Name, type and sentence are those that audits look for."""
    published = server.publish("v1.0.0", FILES)
    release = await registry.current()

    await registry.report(deployment(release))

    record = published.assets[-1]
    moment = "20310203T040506.000000789Z"
    assert f"shipped_to_web-01_server_at_{moment}.txt" == record.name
    assert "text/plain" == record.content_type
    assert f"shipped to web-01 server at {moment}" == record.data.decode()


async def test_report_after_a_restart_finds_its_release(
    server: GitHubServer, registry: Registry
) -> None:
    """Nothing was listed yet by this process."""
    published = server.publish("v1.0.0", FILES)
    release = Release("v1.0.0", f"ghr://acme/app/tag/v1.0.0/{ARTIFACT}", "x")

    await registry.report(deployment(release))

    assert 3 == len(published.assets)
    assert "GET /repos/acme/app/releases/tags/v1.0.0" == server.paths()[0]


async def test_records_are_neither_candidates_nor_news(
    server: GitHubServer, registry: Registry
) -> None:
    """A release collects one per host and deployment."""
    server.publish("v1.0.0", FILES)
    before = await registry.current()
    await registry.report(deployment(before))

    after = await registry.current()

    assert before == after
    assert before.refused == after.refused


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 503])
async def test_failing_github_is_a_remote_error(
    server: GitHubServer, registry: Registry, status: int
) -> None:
    """The application runs on; the next tick asks again."""
    server.publish("v1.0.0", FILES)
    server.faults = [Fault(status=status)]
    with pytest.raises(RemoteError, match=str(status)):
        await registry.current()

    assert "v1.0.0" == (await registry.current()).tag


@pytest.mark.parametrize(
    "url",
    [
        "ghr://acme",
        "ghr://acme/",
        "ghr://acme/app/releases",
        "ghr://acme/app?prerelease=true",
        "ghr://acme/app?pre-release=perhaps",
        "ghr://acme/app?calver=nonsense",
        "ghr://acme/app?endpoint=x",
    ],
)
async def test_invalid_url_is_rejected_on_open(server: GitHubServer, url: str) -> None:
    """Not at the first tick."""
    with pytest.raises(ConfigError):
        REGISTRIES.open(url, HERE, Clients())


@pytest.mark.parametrize("url", ["ghr://Acme_Corp/my.app", "ghr://acme/app/"])
async def test_owner_and_repository_are_taken_as_written(
    server: GitHubServer, url: str
) -> None:
    """Capitals, dots, underscores, a slash at the end."""
    registry = REGISTRIES.open(url, HERE, Clients())

    name = url.removeprefix("ghr://").strip("/")
    assert f"<GitHubRegistry {name}>" == repr(registry)


async def passed(registry: Registry) -> tuple[str, dict[str, str]]:
    """The newest that can be had, and why the ones before it cannot."""
    release, over = await first(await candidates_of(registry))
    return release.tag, {tag: str(exc) for tag, exc in over}


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"assets": None}, "assets is null"),
        ({"assets": "none"}, "assets is a string"),
        ({"assets": [None]}, "null in place of an object with state"),
        ({"published_at": "soon"}, "a time is malformed"),
        ({"upload_url": None}, "upload_url is null"),
        ({"id": None}, "id is null"),
    ],
)
async def test_release_with_odd_details_spoils_itself_alone(
    server: GitHubServer, registry: Registry, odd: dict[str, object], reason: str
) -> None:
    server.publish("v1.0.0", FILES)
    server.publish("v1.1.0", FILES, odd=odd)

    tag, over = await passed(registry)

    assert "v1.0.0" == tag
    told = f"GitHub describes acme/app v1.1.0 incorrectly: {reason}"
    assert {"v1.1.0": told} == over


async def test_asset_with_odd_details_spoils_its_release_alone(
    server: GitHubServer, registry: Registry
) -> None:
    server.publish("v1.0.0", FILES)
    server.publish("v1.1.0", FILES).assets[0].updated_at = None  # type: ignore[assignment]

    assert ("v1.0.0", ["v1.1.0"]) == (
        (found := await passed(registry))[0],
        list(found[1]),
    )


async def test_release_whose_upload_broke_off_is_passed_over_at_once(
    server: GitHubServer, registry: Registry
) -> None:
    server.publish("v1.0.0", FILES)
    server.publish("v1.1.0", FILES).assets[0].state = "starter"

    candidates = await candidates_of(registry)
    with pytest.raises(NoRelease) as caught:
        await candidates.details(candidates.versions[0])

    assert caught.value.unfinished
    assert str(caught.value).endswith(f"upload not finished: {ARTIFACT}")
    assert "v1.0.0" == (await passed(registry))[0]


async def test_release_without_a_tag_is_none(
    server: GitHubServer, registry: Registry
) -> None:
    server.publish("v1.0.0", FILES)
    server.publish("v1.1.0", FILES, odd={"tag_name": None})

    assert ("v1.0.0", {}) == await passed(registry)


async def test_unchanged_poll_makes_single_conditional_request(
    server: GitHubServer, registry: Registry
) -> None:
    """Also with versions that are passed over."""
    server.publish("v1.0.0", FILES)
    for number in range(30):
        server.publish(f"v2.{number}.0", {"app_windows_amd64.zip": b""})
    for _ in range(3):
        await passed(registry)

    assert [200, 304, 304] == server.statuses


async def test_monorepo_is_read_by_its_prefix(
    server: GitHubServer, open_registry: Open
) -> None:
    server.publish("api/v1.3.0", {"api_linux_amd64.zip": b""})
    server.publish("web/v2.0.0", {"web_linux_amd64.zip": b""})

    release = await open_registry("?tag-prefix=api/").current()

    assert "api/v1.3.0" == release.tag
    url = "ghr://acme/app/tag/api%2Fv1.3.0/api_linux_amd64.zip"
    assert url == release.artifact_url


async def test_public_repository_needs_no_token(
    server: GitHubServer, open_registry: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not asked more often than GitHub allows then."""
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.delenv("GH_TOKEN", raising=False)
    server.public = True
    server.publish("v1.0.0", FILES)
    registry = open_registry()
    release = await registry.current()
    await registry.current()

    assert "v1.0.0" == release.tag
    assert [200] == server.statuses
    assert "Authorization" not in server.seen[0].headers
    with pytest.raises(RemoteError, match="accepts no report without a token"):
        await registry.report(deployment(release))


async def test_private_repository_asks_for_a_token(
    server: GitHubServer, open_registry: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.delenv("GH_TOKEN", raising=False)

    with pytest.raises(RemoteError, match="a private one: then it wants a token in GH"):
        await open_registry().current()


async def test_list_that_ends_at_the_limit_of_github_is_no_whole(
    server: GitHubServer, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release that it lacks has not been withdrawn."""
    monkeypatch.setattr(client, "MOST_PAGES", 1)
    server.publish("v1.0.0", FILES)
    assert (await candidates_of(registry)).complete
    for number in range(100):
        server.publish(f"v1.0.{number + 1}", FILES)

    assert not (await candidates_of(registry)).complete
