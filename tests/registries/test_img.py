from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dewy.deploy.candidates import first
from dewy.errors import ConfigError, NoRelease, RemoteError
from dewy.registries import REGISTRIES, Registry, candidates_of, img
from dewy.release import Deployment, Release
from dewy.remotes import Clients
from dewy.versions import Platform, Selection
from dewy.versions.platforms import ImagePlatform
from tests.needs import needs
from tests.standins.files import Fault
from tests.standins.image_api import ImageAPI
from tests.standins.image_registry import ImageRegistryServer
from tests.standins.image_tokens import PASSWORD, USER, TokenServer
from tests.standins.pushed_images import digest_of, image

HERE = Platform("linux", "amd64")
Open = Callable[..., Registry]


@pytest.fixture
async def server() -> AsyncIterator[ImageAPI]:
    async with ImageAPI() as server:
        yield server


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with Clients() as clients:
        yield clients


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / ".dewy" / "reports"


@pytest.fixture
def open(server: ImageAPI, clients: Clients, reports: Path) -> Open:
    """The registry with this query, as a host of this slot sees it."""

    def open(query: str = "", slot: str = "", host: str = "") -> Registry:
        return REGISTRIES.open(
            f"img://{host or server.host}/app{query}",
            Selection(slot, HERE, reports, ImagePlatform("linux", "amd64")),
            clients,
        )

    return open


def records(directory: Path) -> dict[str, str]:
    """Name and text of what is in *directory*."""
    return {path.name: path.read_text() for path in directory.iterdir()}


def permissions(path: Path) -> int:
    return path.stat().st_mode & 0o777


def put(path: Path) -> None:
    """Have an empty file there."""
    path.parent.mkdir(parents=True)
    path.touch()


def deployment(release: Release, second: int = 6, host: str = "web-01") -> Deployment:
    at = datetime(2031, 2, 3, 4, 5, second, tzinfo=UTC)
    return Deployment(release, "container", at, 789, host)


async def test_newest_tag_yields_release_with_digest(
    server: ImageAPI, open: Open
) -> None:
    server.tag("v1.0.0", "v1.1.0", "latest")

    release = await open().current()

    digest = digest_of(b"v1.1.0")
    assert f"img://{server.host}/app:v1.1.0" == release.artifact_url
    assert ("v1.1.0", None) == (release.tag, release.created_at)
    assert {digest} == {release.identity, release.digest, release.id}
    assert {"v1.0.0", "latest"} == {refused.name for refused in release.refused}


async def test_poll_costs_a_list_and_a_head(server: ImageAPI, open: Open) -> None:
    """A GET would count as a pull; and a tag that stays may be pushed again."""
    server.tag("v1.0.0")
    registry = open()
    await registry.current()
    server.digests["v1.0.0"] = digest_of(b"again")
    again = await registry.current()

    once = ["GET /v2/app/tags/list", "HEAD /v2/app/manifests/v1.0.0"]
    assert once * 2 == server.asked()
    assert digest_of(b"again") == again.identity


async def test_named_tag_costs_a_head(server: ImageAPI, open: Open) -> None:
    server.tag("v1.0.0", "v2.0.0-rc.1")

    assert "v2.0.0-rc.1" == (await open().current("v2.0.0-rc.1")).tag
    assert ["HEAD /v2/app/manifests/v2.0.0-rc.1"] == server.asked()


async def test_constraint_is_kept(server: ImageAPI, open: Open) -> None:
    """Who names a version means it all the same."""
    server.tag("v1.2.0", "v1.9.0", "v2.0.0")
    registry = open("?constraint=^1.2")

    release = await registry.current()

    assert "v1.9.0" == release.tag
    assert {"v2.0.0": "outside ^1.2", "v1.2.0": "older than v1.9.0"} == {
        refused.name: refused.reason for refused in release.refused
    }
    assert "v2.0.0" == (await registry.current("v2.0.0")).tag


async def test_slot_may_end_a_tag(server: ImageAPI, open: Open) -> None:
    """And is then no pre-release."""
    server.tag("v1.0.0-blue", "v1.1.0-rc.1-blue", "v2.0.0-green", "v3.0.0")

    release = await open(slot="blue").current()
    early = await open("?channel=rc", slot="blue").current()

    assert ("v1.0.0-blue", "blue") == (release.tag, release.slot)
    assert ("v1.1.0-rc.1-blue", "blue") == (early.tag, early.slot)


async def test_without_a_slot_such_a_tag_is_a_pre_release(
    server: ImageAPI, open: Open
) -> None:
    server.tag("v1.0.0", "v1.1.0-blue")

    assert "v1.0.0" == (await open().current()).tag
    assert "v1.1.0-blue" == (await open("?pre-release=true").current()).tag


async def test_tag_that_is_listed_and_not_held_is_no_release(
    server: ImageAPI, open: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.tag("v1.0.0")
    registry = open()

    async def none(*args: object) -> None:
        return None

    monkeypatch.setattr("dewy.remotes.oci.client.OCI.stands_for", none)

    with pytest.raises(NoRelease, match=r"lists v1\.0\.0, but its manifest is gone"):
        await registry.current()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?artifact=app", "no option 'artifact'"),
        ("?constraint=newest", "no range of versions"),
        ("?constraint=^1&calver=YYYY.MM", "not for calver"),
        ("?insecure=perhaps", "true or false"),
        (":v1", "names one image"),
    ],
)
def test_invalid_url_is_rejected_on_open(open: Open, query: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open(query)


def test_registry_shows_its_repository(open: Open, server: ImageAPI) -> None:
    assert f"<ImageRegistry {server.host}/app>" == repr(open())


async def test_record_names_the_image(
    server: ImageAPI, open: Open, reports: Path
) -> None:
    server.tag("v1.0.0")
    registry = open()
    await registry.report(deployment(await registry.current()))

    [(name, text)] = records(reports).items()
    stem = "shipped_to_web-01_container_at_20310203T040506.000000789Z"
    image = f"img://{server.host}/app:v1.0.0 {digest_of(b'v1.0.0')}"
    assert (f"{stem}.txt", [stem.replace("_", " "), image]) == (name, text.splitlines())
    assert 0o700 == permissions(reports)


async def test_records_do_not_pile_up(
    open: Open, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go, whatever their hosts are called; what is no record stays."""
    monkeypatch.setattr(img, "KEPT", 3)
    put(reports / "notes.txt")
    registry, release = open(), Release("v1.0.0", "img://h.io/app:v1.0.0", "one")
    for second in range(5):
        await registry.report(deployment(release, second, host="edcba"[second]))

    kept = sorted(name[:12] for name in records(reports))
    assert ["notes.txt", "shipped_to_a", "shipped_to_b", "shipped_to_c"] == kept


async def test_report_without_report_directory_is_discarded(
    server: ImageAPI, clients: Clients
) -> None:
    registry = REGISTRIES.open(
        f"img://{server.host}/app", Selection(platform=HERE), clients
    )

    await registry.report(deployment(Release("v1.0.0", "img://h.io/app:v1.0.0", "one")))


async def test_record_that_cannot_be_written_is_an_error(
    open: Open, reports: Path
) -> None:
    put(reports)
    release = Release("v1.0.0", "img://h.io/app:v1.0.0", "one")

    with pytest.raises(RemoteError, match="write the report"):
        await open().report(deployment(release))


@needs("docker-registry")
@pytest.mark.parametrize("guarded", ["openly", "by password", "by token"])
async def test_real_registry_is_read(
    guarded: str, tmp_path: Path, open: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image for several platforms goes by its index."""
    monkeypatch.setenv("DOCKER_USERNAME", USER)
    monkeypatch.setenv("DOCKER_PASSWORD", PASSWORD)
    one, other = image({"a": b"1"}), image({"a": b"2"}, architecture="arm64")
    async with TokenServer() as tokens:
        tokens.anonymous = False
        server = ImageRegistryServer(
            tmp_path / "registry",
            tokens=tokens if guarded == "by token" else None,
            password=guarded == "by password",
        )
        async with server:
            pusher = server.pusher()
            await pusher.push("app", "v1.0.0", one)
            digest = await pusher.push_index(
                "app", "v1.1.0", {"amd64": one, "arm64": other}
            )

            release = await open(host=server.host).current()

    assert ("v1.1.0", digest) == (release.tag, release.digest)


@needs("docker-registry")
@pytest.mark.parametrize("guarded", [True, False])
async def test_real_registry_wants_a_login(
    guarded: bool, tmp_path: Path, open: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with TokenServer() as tokens:
        tokens.anonymous = False
        server = ImageRegistryServer(
            tmp_path / "registry", tokens=tokens if guarded else None, password=True
        )
        async with server:
            with pytest.raises(RemoteError, match="401 Unauthorized: docker login"):
                await open(host=server.host).current()


@needs("docker-registry")
async def test_registry_may_have_an_address_of_the_new_kind(
    tmp_path: Path, open: Open
) -> None:
    server = ImageRegistryServer(tmp_path / "registry", address="[::1]")
    async with server:
        await server.pusher().push("app", "v1.0.0", image({"a": b"1"}))

        release = await open(host=server.host).current()

    assert f"img://{server.host}/app:v1.0.0" == release.artifact_url
    assert server.host.startswith("[::1]:")


async def told(registry: Registry) -> tuple[str, dict[str, str]]:
    """The newest that can be had, and what was passed over."""
    release, passed = await first(await candidates_of(registry))
    return release.tag, {tag: str(exc) for tag, exc in passed}


async def test_index_without_our_platform_is_passed_over(
    server: ImageAPI, open: Open
) -> None:
    server.tag_index("v1.0.0", "linux/amd64", "linux/arm64")
    server.tag_index("v1.1.0", "linux/arm64", "linux/s390x")

    tag, passed = await told(open())

    assert "v1.0.0" == tag
    assert {
        "v1.1.0": f"{server.host}/app:v1.1.0 holds no image for linux/amd64, but for "
        "linux/arm64, linux/s390x"
    } == passed


async def test_index_is_asked_for_once(server: ImageAPI, open: Open) -> None:
    server.tag_index("v1.0.0", "linux/amd64")
    registry = open()
    for _ in range(3):
        await registry.current()

    gets = [each for each in server.asked() if each.startswith("GET /v2/app/manifests")]
    assert [f"GET /v2/app/manifests/{server.digests['v1.0.0']}"] == gets


async def test_tag_without_a_manifest_is_passed_over(
    server: ImageAPI, open: Open
) -> None:
    """Garbage collection leaves such tags, and so do registries that are copied."""
    server.tag("v1.0.0", "v1.1.0")
    candidates = await candidates_of(open())
    del server.digests["v1.1.0"]

    release, passed = await first(candidates)

    assert "v1.0.0" == release.tag
    assert ["v1.1.0"] == [tag for tag, _ in passed]


async def test_manifest_that_lies_is_passed_over(server: ImageAPI, open: Open) -> None:
    server.tag("v1.0.0", "v1.1.0")
    server.digests["v1.1.0"] = "no digest"

    tag, passed = await told(open())

    assert "v1.0.0" == tag
    assert "v1.1.0" in passed


@pytest.mark.parametrize("status", [404, 410, 412, 451])
async def test_image_that_the_registry_keeps_back_is_passed_over(
    server: ImageAPI, open: Open, status: int
) -> None:
    server.tag("v1.0.0", "v1.1.0")
    candidates = await candidates_of(open())
    server.faults = [Fault(status=status)]

    release, passed = await first(candidates)

    assert "v1.0.0" == release.tag
    assert ["v1.1.0"] == [tag for tag, _ in passed]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_registry_that_fails_is_no_reason_to_pass_over(
    server: ImageAPI, open: Open, status: int
) -> None:
    server.tag("v1.0.0", "v1.1.0")
    candidates = await candidates_of(open())
    server.faults = [Fault(status=status)]

    with pytest.raises(RemoteError):
        await first(candidates)
