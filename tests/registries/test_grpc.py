"""A registry of one release; what holds for every registry is in the contract."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dewy.errors import (
    ConfigError,
    ImplementationUnavailable,
    NoRelease,
    NotYet,
    RemoteError,
)
from dewy.registries import REGISTRIES, Registry
from dewy.release import Deployment
from dewy.remotes import Clients
from dewy.versions import Platform, Selection
from tests.needs import found, needs
from tests.standins.certificates import Authority

if found("grpc"):
    from dewy.remotes.grpc.registry_pb2 import CurrentResponse
    from tests.standins.grpc_registry import GRPCServer

pytestmark = needs("grpc")

HERE = Platform("linux", "amd64")
URL = "https://artifacts.test/v1.2.3/app_linux_amd64.tar.gz"
Open = Callable[..., Registry]


@pytest.fixture
async def server() -> AsyncIterator[GRPCServer]:
    async with GRPCServer() as server:
        server.service.publish("v1.2.3", URL, id="42")
        yield server


@pytest.fixture
async def open_registry(server: GRPCServer) -> AsyncIterator[Open]:
    async with Clients() as clients:

        def open_registry(query: str = "", slot: str = "") -> Registry:
            url = f"grpc://{server.address}?no-tls=true{query}"
            return REGISTRIES.open(url, Selection(slot, HERE), clients)

        yield open_registry


async def test_release_matches_server_response(
    server: GRPCServer, open_registry: Open
) -> None:
    release = await open_registry().current()

    assert server.service.answer is not None
    assert ("v1.2.3", URL, "42", "") == (
        release.tag,
        release.artifact_url,
        release.id,
        release.slot,
    )
    assert server.service.answer.created_at.ToDatetime(UTC) == release.created_at


async def test_files_beside_the_artifact_are_not_listed(open_registry: Open) -> None:
    """So that checksums and signatures are asked for by their names."""
    assert (await open_registry().current()).files is None


async def test_request_carries_goos_goarch_and_artifact_option(
    server: GRPCServer, open_registry: Open
) -> None:
    """And a file only where one is named."""
    await open_registry().current()
    await open_registry("&artifact=site.zip").current()
    first, second = server.service.asked

    assert ("amd64", "linux") == (first.arch, first.os)
    assert not first.HasField("arifact_name")
    assert "site.zip" == second.arifact_name


async def test_host_and_labels_are_told_where_they_are_set(
    server: GRPCServer, open_registry: Open
) -> None:
    await open_registry().current()
    await open_registry("&host=web-7&labels=zone:eu,ring:canary").current()
    first, second = server.service.asked

    assert (False, {}) == (first.HasField("host"), dict(first.labels))
    assert "web-7" == second.host
    assert {"zone": "eu", "ring": "canary"} == dict(second.labels)


@pytest.mark.parametrize("labels", ["canary", ":eu", "zone:eu,zone:us"])
async def test_labels_are_pairs_of_different_keys(
    open_registry: Open, labels: str
) -> None:
    with pytest.raises(ConfigError, match=f"labels={labels} is not of the form KEY:"):
        open_registry(f"&labels={labels}")


async def test_time_of_publication_may_be_missing(
    server: GRPCServer, open_registry: Open
) -> None:
    server.service.answer = CurrentResponse(id="1", tag="v1", artifact_url=URL)

    assert (await open_registry().current()).created_at is None


async def test_older_version_is_deployed_if_the_server_says_so(
    server: GRPCServer, open_registry: Open
) -> None:
    """Versions are not compared: a tag need not even be one."""
    registry = open_registry()
    await registry.current()
    server.service.publish("nightly_build-7", URL)

    assert "nightly_build-7" == (await registry.current()).tag


async def test_tag_may_name_its_part_of_a_repository(
    server: GRPCServer, open_registry: Open
) -> None:
    server.service.publish("api/v1.3.0", URL)

    assert "api/v1.3.0" == (await open_registry("&tag-prefix=api/").current()).tag


async def test_slot_is_that_of_the_tag(server: GRPCServer, open_registry: Open) -> None:
    server.service.publish("2031.02.1+blue", URL)

    query = "&calver=YYYY.0M.MICRO"
    assert "blue" == (await open_registry(query, "blue").current()).slot
    with pytest.raises(NotYet, match=r"2031\.02\.1\+blue is for slot blue, not green"):
        await open_registry(query, "green").current()
    server.service.publish("v1.0.0", URL)
    with pytest.raises(NotYet, match="for no slot, not green"):
        await open_registry("", "green").current()


async def test_lookup_by_tag_finds_current_version_only(open_registry: Open) -> None:
    assert "v1.2.3" == (await open_registry().current("v1.2.3")).tag
    with pytest.raises(NoRelease, match=r"names v1\.2\.3; .* v1\.2\.2 cannot"):
        await open_registry().current("v1.2.2")


async def test_success_is_reported_without_an_error(
    server: GRPCServer, open_registry: Open
) -> None:
    registry = open_registry()
    release = await registry.current()
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    await registry.report(Deployment(release, "assets", at, 0, "web-01"))
    (report,) = server.service.reports

    assert ("42", "v1.2.3", "assets") == (report.id, report.tag, report.command)
    assert not report.HasField("err")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"tag": "../../etc", "artifact_url": URL}, "names a version '../../etc'"),
        ({"tag": "v1\nv2", "artifact_url": URL}, r"names a version 'v1\\nv2'"),
        ({"tag": ".hidden", "artifact_url": URL}, "names a version"),
        ({"tag": "api//v1", "artifact_url": URL}, "names a version"),
        ({"tag": "api/v1/", "artifact_url": URL}, "names a version"),
        ({"tag": "x" * 201, "artifact_url": URL}, "names a version"),
        ({"artifact_url": URL}, "names a version ''"),
        ({"tag": "v1"}, "names no URL as the artifact of v1"),
        ({"tag": "v1", "artifact_url": "app.zip"}, "names no URL"),
    ],
)
async def test_nonsense_is_refused(
    server: GRPCServer, open_registry: Open, answer: dict[str, str], said: str
) -> None:
    server.service.answer = CurrentResponse(id="1", **answer)

    with pytest.raises(RemoteError, match=said):
        await open_registry().current()


async def test_impossible_time_is_refused(
    server: GRPCServer, open_registry: Open
) -> None:
    assert server.service.answer is not None
    server.service.answer.created_at.seconds = 2**60

    with pytest.raises(RemoteError, match="impossible time"):
        await open_registry().current()


async def test_empty_answer_is_no_release(
    server: GRPCServer, open_registry: Open
) -> None:
    server.service.answer = CurrentResponse()

    with pytest.raises(NoRelease):
        await open_registry().current()


async def test_signature_in_the_url_makes_no_other_release(
    server: GRPCServer, open_registry: Open
) -> None:
    """Addresses that are signed for each answer are not deployed each time."""
    registry = open_registry()
    server.service.publish("v1", f"{URL}?signature=1", id="1")
    first = await registry.current()
    server.service.publish("v1", f"{URL}?signature=2", id="1")
    second = await registry.current()

    assert first.identity == second.identity
    assert first.artifact_url != second.artifact_url


async def test_changed_id_changes_identity_when_repeated(
    server: GRPCServer, open_registry: Open
) -> None:
    """An artifact was replaced under its tag."""
    registry = open_registry()
    before = await registry.current()
    server.service.publish("v1.2.3", URL, id="43")
    looks = [(await registry.current()).identity for _ in range(3)]

    assert before.identity == looks[0]
    assert before.identity != looks[1]
    assert looks[1] == looks[2]


async def test_id_of_each_answer_is_no_release_of_its_own(
    server: GRPCServer, open_registry: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Or dewy would deploy forever. It is said once."""
    registry = open_registry()
    identities = set()
    for number in range(6):
        server.service.publish("v1.2.3", URL, id=str(number))
        identities.add((await registry.current()).identity)

    assert 1 == len(identities)
    assert 1 == caplog.text.count("a new id in each answer")


async def test_key_that_cannot_be_read_is_refused_at_once(tmp_path: Path) -> None:
    def opened(query: str) -> Registry:
        return REGISTRIES.open(f"grpc://host?{query}", Selection(), Clients())

    ca = Authority(tmp_path).cert
    with pytest.raises(ConfigError, match="gone"):
        await asyncio.to_thread(opened, f"ca={tmp_path / 'gone'}")
    assert "<GRPCRegistry grpc://host:443>" == repr(
        await asyncio.to_thread(opened, f"ca={ca}")
    )


@pytest.mark.parametrize("option", ["pre-release=true", "channel=rc"])
def test_server_side_selection_options_are_rejected(option: str) -> None:
    with pytest.raises(ConfigError, match="has no option"):
        REGISTRIES.open(f"grpc://host?{option}", Selection(), Clients())


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.startswith(("dewy.remotes.grpc", "dewy.registries.grpc")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grpc", None)

    with pytest.raises(ImplementationUnavailable, match="pip install 'grpcio>="):
        REGISTRIES.open("grpc://host", Selection(), Clients())
