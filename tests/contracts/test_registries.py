"""What every registry has to do, whatever its scheme."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dewy.errors import ConfigError, NoRelease, RemoteError
from dewy.release import Deployment, Release
from tests.contracts.cases import (
    ARTIFACT,
    IMAGES,
    REGISTRY_CASES,
    SINGLE,
    RegistryCase,
)

FILES = {ARTIFACT: b"artifact", "SHA256SUMS": b"sums"}


@pytest.fixture(params=REGISTRY_CASES)
async def case(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[RegistryCase]:
    async with REGISTRY_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(REGISTRY_CASES.keys() - SINGLE))
async def listing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[RegistryCase]:
    """A registry that lists its versions, so that dewy chooses."""
    async with REGISTRY_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(REGISTRY_CASES.keys() - SINGLE - IMAGES))
async def filed(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[RegistryCase]:
    """A registry whose releases hold files."""
    async with REGISTRY_CASES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=sorted(REGISTRY_CASES.keys() - IMAGES))
async def recording(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[RegistryCase]:
    """A registry that takes the records of deployments itself."""
    async with REGISTRY_CASES[request.param](tmp_path) as made:
        yield made


def deployment(release: Release, nanoseconds: int = 789) -> Deployment:
    at = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    return Deployment(release, "server", at, nanoseconds, "web-01")


async def test_newest_version_is_current(listing: RegistryCase) -> None:
    """Newest by precedence, neither by name nor by time."""
    for tag in ("v1.10.0", "v1.9.0", "v1.2.0"):
        await listing.publish(tag, FILES)

    release = await listing.open("", "").current()

    assert "v1.10.0" == release.tag
    assert {"v1.9.0", "v1.2.0"} <= {refusal.name for refusal in release.refused}


async def test_release_lists_artifact_size_and_other_files(filed: RegistryCase) -> None:
    await filed.publish("v1.0.0", FILES)

    release = await filed.open("", "").current()

    assert ARTIFACT == release.file
    assert len(b"artifact") == release.size
    assert ("SHA256SUMS",) == release.files


async def test_answer_stays_the_same_until_something_is_published(
    case: RegistryCase,
) -> None:
    await case.publish("v1.0.0", FILES)
    registry = case.open("", "")

    assert await registry.current() == await registry.current()


async def test_replaced_artifact_makes_another_release_of_the_same_tag(
    case: RegistryCase,
) -> None:
    """A re-pushed artifact under the same tag is another candidate."""
    await case.publish("v1.0.0", FILES)
    before = await case.open("", "").current()
    await case.publish("v1.0.0", {**FILES, ARTIFACT: b"replaced"})

    after = await case.open("", "").current()

    assert before.tag == after.tag
    assert before.identity != after.identity


async def test_older_version_is_found_by_name(
    listing: RegistryCase,
) -> None:
    """Not even a pre-release is refused to somebody who asks for it by name."""
    await listing.publish("v1.0.0", FILES)
    await listing.publish("v0.9.0-rc.1", FILES)

    assert "v0.9.0-rc.1" == (await listing.open("", "").current("v0.9.0-rc.1")).tag


async def test_name_of_no_version_is_no_release(case: RegistryCase) -> None:
    await case.publish("v1.0.0", FILES)

    with pytest.raises(NoRelease, match=r"v1\.0\.1"):
        await case.open("", "").current("v1.0.1")


async def test_pre_release_is_ignored_unless_enabled(
    listing: RegistryCase,
) -> None:
    await listing.publish("v1.0.0", FILES)
    await listing.publish("v1.1.0-rc.1", FILES)

    assert "v1.0.0" == (await listing.open("", "").current()).tag
    assert "v1.1.0-rc.1" == (await listing.open("?pre-release=true", "").current()).tag


async def test_channel_is_chosen_before_the_version(listing: RegistryCase) -> None:
    for tag in ("v1.0.0", "v1.1.0-beta.1", "v1.2.0-alpha.1"):
        await listing.publish(tag, FILES)

    assert (
        "v1.1.0-beta.1"
        == (await listing.open("?channel=stable,beta", "").current()).tag
    )


async def test_calendar_versions_are_read_by_their_format(case: RegistryCase) -> None:
    await case.publish("2030.09.1", FILES)
    await case.publish("2030.10.1", FILES)

    release = await case.open("?calver=YYYY.0M.MICRO", "").current()

    assert "2030.10.1" == release.tag


async def test_slot_is_chosen_before_the_version(listing: RegistryCase) -> None:
    """A newer version of the other slot does not starve a host."""
    await listing.publish("v1.0.0+blue", FILES)
    await listing.publish("v2.0.0+green", FILES)

    release = await listing.open("", "blue").current()

    assert (listing.tag("v1.0.0+blue"), "blue") == (release.tag, release.slot)


async def test_artifact_may_be_named(filed: RegistryCase) -> None:
    await filed.publish("v1.0.0", {**FILES, "site": b"just this"})

    assert "site" == (await filed.open("?artifact=site", "").current()).file


async def test_nothing_older_stands_in_for_a_version_without_our_artifact(
    filed: RegistryCase,
) -> None:
    """It may still be uploading; the error says since when."""
    await filed.publish("v1.0.0", FILES)
    await filed.publish("v1.1.0", {"app_darwin_arm64.zip": b"", "SHA256SUMS": b""})

    with pytest.raises(NoRelease) as caught:
        await filed.open("", "").current()

    assert caught.value.since is not None
    assert caught.value.since.tzinfo is not None
    assert "app_darwin_arm64.zip" in {refused.name for refused in caught.value.refused}


async def test_registry_without_a_version_is_no_release(listing: RegistryCase) -> None:
    await listing.publish("latest", FILES)

    with pytest.raises(NoRelease) as caught:
        await listing.open("", "").current()

    assert ["latest"] == [refusal.name for refusal in caught.value.refused]
    assert caught.value.since is None


async def test_registry_that_is_down_is_a_remote_error(case: RegistryCase) -> None:
    await case.publish("v1.0.0", FILES)
    registry = case.open("", "")
    await registry.current()
    await case.break_down()

    with pytest.raises(RemoteError):
        await registry.current()


async def test_report_to_a_registry_that_is_down_is_an_error(
    recording: RegistryCase,
) -> None:
    await recording.publish("v1.0.0", FILES)
    registry = recording.open("", "")
    release = await registry.current()
    await recording.break_down()

    with pytest.raises(RemoteError):
        await registry.report(deployment(release))


async def test_deployment_is_recorded_with_its_version(case: RegistryCase) -> None:
    await case.publish("v1.0.0", FILES)
    registry = case.open("", "")
    release = await registry.current()

    await registry.report(deployment(release))

    assert ["shipped_to_web-01_server_at_20310203T040506.000000789Z.txt"] == (
        await case.records("v1.0.0")
    )


async def test_record_changes_nothing_about_the_release(case: RegistryCase) -> None:
    """A report is neither an artifact nor a reason to deploy again."""
    await case.publish("v1.0.0", FILES)
    registry = case.open("", "")
    before = await registry.current()
    for count in range(3):
        await registry.report(deployment(before, count))

    assert before == await registry.current()


async def test_report_on_a_version_that_is_gone_is_an_error(
    recording: RegistryCase,
) -> None:
    await recording.publish("v1.0.0", FILES)
    registry = recording.open("", "")
    gone = Release("v0.1.0", (await registry.current()).artifact_url, "gone")

    with pytest.raises(RemoteError):
        await registry.report(deployment(gone))


@pytest.mark.parametrize(
    "query", ["?prerelease=1", "?pre-release=maybe", "?calver=nonsense"]
)
async def test_impossible_option_is_refused_at_once(
    case: RegistryCase, query: str
) -> None:
    """What was mistyped is said at the start, not at the first tick."""
    with pytest.raises(ConfigError):
        case.open(query, "")
