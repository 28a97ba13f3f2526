"""What the query of a registry's URL may say."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from dewy.errors import Ambiguous, ConfigError, NoRelease
from dewy.registries.candidates import Options
from dewy.release import Release
from dewy.versions import Platform, Selection, Version
from dewy.versions.version import parse_semver

SELECTION = Selection(slot="blue", platform=Platform("linux", "amd64"))


def read(query: str) -> Options:
    return Options.read(urlsplit(f"mem://name{query}"), SELECTION)


def test_options_become_rules() -> None:
    options = read("?pre-release=on&calver=YYYY.MM&channel=beta,,stable&artifact=a+b")

    assert options.rules.pre_release
    assert "YYYY.MM" == options.rules.calver
    assert ("beta", "stable") == options.rules.channels
    assert "blue" == options.rules.slot
    assert "a b" == options.artifact


def test_no_option_means_stable_semantic_versions() -> None:
    rules = read("").rules

    assert (False, "", ()) == (rules.pre_release, rules.calver, rules.channels)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?prerelease=true", "pre-release"),
        ("?pre-release=perhaps", "true or false"),
        ("?constraint=newest", "constraint"),
        ("?calver=MAJOR", "calver"),
    ],
)
def test_invalid_query_option_is_rejected(query: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(query)


def test_registry_may_have_other_options() -> None:
    allowed = {"constraint": "", "calver": "", "pre-release": "false", "channel": ""}
    url = urlsplit("mem://name?constraint=^1.2")

    options = Options.read(url, SELECTION, allowed, dashed_slot=True)

    assert options.rules.constraint
    assert "^1.2" == options.rules.constraint.text
    assert options.rules.dashed_slot
    assert "" == options.artifact


def test_named_version_must_be_of_our_slot() -> None:
    """Who names a version means it, but another slot is another host's."""
    names = ["v1.0.0+blue", "v1.1.0-rc.1+blue", "v1.1.0+green"]

    version = read("?exclude=*rc*").named(names, "here", "v1.1.0-rc.1+blue")

    assert "v1.1.0-rc.1+blue" == version.tag
    with pytest.raises(NoRelease, match=r"no version v1\.1\.0\+green"):
        read("").named(names, "here", "v1.1.0+green")


async def nothing(version: Version) -> Release:
    raise NoRelease(version.tag)


def test_candidates_are_filtered_and_sorted_newest_first() -> None:
    names = ["v1.0.0+blue", "v1.1.0+green", "v3.0.0+blue", "v1.2.0+blue", "nightly"]

    found = read("?constraint=^1").candidates(names, "here", nothing)

    assert ["v1.2.0+blue", "v1.0.0+blue"] == [each.tag for each in found.versions]
    assert {
        "v1.1.0+green": "slot green, not blue",
        "v3.0.0+blue": "outside ^1",
        "nightly": "not a semantic version",
    } == {each.name: each.reason for each in found.refused}
    assert frozenset(names) == found.names


@pytest.mark.parametrize(
    ("prefix", "expected"), [("api-", ["api-v1.3.0"]), ("api/", ["api/v1.2.0"])]
)
def test_tag_prefix_selects_matching_versions(prefix: str, expected: list[str]) -> None:
    names = ["api-v1.3.0", "api/v1.2.0", "web-v2.0.0", "v3.0.0", "api-v1", "api-next"]
    options = Options.read(urlsplit(f"mem://name?tag-prefix={prefix}"), Selection())

    found = options.candidates(names, "here", nothing)

    assert expected == [each.tag for each in found.versions]
    assert f"does not begin with {prefix}" == next(
        each.reason for each in found.refused if each.name == "v3.0.0"
    )


def test_excluded_names_are_told() -> None:
    names = ["v1.1.0+blue", "v1.2.0+blue", "v1.3.0+blue"]

    found = read("?exclude=v1.3.*,v1.2.*").candidates(names, "here", nothing)

    assert ["v1.1.0+blue"] == [each.tag for each in found.versions]
    assert ["excluded by v1.2.*", "excluded by v1.3.*"] == [
        each.reason for each in found.refused
    ]


VERSION = parse_semver("v1.2.3+blue")


def test_missing_artifact_is_named_with_its_place() -> None:
    since = datetime(2031, 2, 3, tzinfo=UTC)

    with pytest.raises(NoRelease, match=r"v1 holds no file app\.zip") as caught:
        read("?artifact=app.zip").file(["app.tgz"], "v1", since, VERSION)

    assert since == caught.value.since
    assert not caught.value.unfinished


@pytest.mark.parametrize("names", [[], ["checksums.txt"], ["app_linux_amd64.deb"]])
def test_release_without_any_archive_is_unfinished(names: list[str]) -> None:
    with pytest.raises(NoRelease) as caught:
        read("").file(names, "v1", None, VERSION)

    assert caught.value.unfinished


@pytest.mark.parametrize(
    "file",
    [
        "app_v1.2.3+blue.tar.gz",
        "app_1.2.3+blue.tar.gz",
        "app_v1.2.3.tar.gz",
        "app_1.2.3.tar.gz",
    ],
)
def test_artifact_may_hold_the_version(file: str) -> None:
    names = ["app_1.2.2.tar.gz", file, "app_1.2.33.tar.gz"]

    found, _ = read("?artifact=app_{version}.tar.gz").file(names, "v1", None, VERSION)

    assert file == found


def test_artifact_may_hold_the_version_behind_a_prefix() -> None:
    options = Options.read(
        urlsplit("mem://name?tag-prefix=api/&artifact=api_{version}.zip"), Selection()
    )
    version = options.named(["api/v1.2.3"], "here", "api/v1.2.3")

    assert "api_1.2.3.zip" == options.file(["api_1.2.3.zip"], "v1", None, version)[0]


def test_files_that_fit_equally_well_are_an_error_that_names_them() -> None:
    names = [
        "bun-linux-x64-baseline-profile.zip",
        "bun-linux-x64-baseline.zip",
        "bun-linux-x64-profile.zip",
        "bun-linux-x64.zip",
        "bun-linux-aarch64.zip",
    ]

    with pytest.raises(Ambiguous) as caught:
        read("").file(names, "v1", None, VERSION)

    assert (
        "v1 holds bun-linux-x64-baseline.zip and bun-linux-x64.zip, which fit this "
        "host equally well; choose one in the registry's URL, as in "
        "artifact=bun-linux-x64.zip"
    ) == str(caught.value)


def test_suggested_artifact_holds_for_later_versions() -> None:
    names = ["app_1.2.3_linux_amd64.zip", "cli_1.2.3_linux_amd64.zip"]

    with pytest.raises(Ambiguous, match=r"artifact=app_\{version\}_linux_amd64\.zip"):
        read("").file(names, "v1", None, VERSION)


@pytest.mark.parametrize("value", ["x", "-1", "10", "1.5"])
def test_strip_is_a_small_number(value: str) -> None:
    with pytest.raises(ConfigError, match=f"strip='{value}' must be a number"):
        read(f"?strip={value}")
