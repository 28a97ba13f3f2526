"""What the query of a registry's URL may say."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from dewy.errors import ConfigError, NoRelease
from dewy.registries.options import Options
from dewy.versions import Platform, Selection

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
        ("?constraint=1", "constraint"),
        ("?calver=MAJOR", "calver"),
    ],
)
def test_what_cannot_be_is_said(query: str, message: str) -> None:
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

    version, _ = read("").version(names, "here", "v1.1.0-rc.1+blue")

    assert "v1.1.0-rc.1+blue" == version.tag
    with pytest.raises(NoRelease, match=r"no version v1\.1\.0\+green"):
        read("").version(names, "here", "v1.1.0+green")


def test_refused_names_come_with_the_choice() -> None:
    version, refused = read("").version(["v1.0.0+blue", "v1.1.0+green"], "here")

    assert "v1.0.0+blue" == version.tag
    assert ["v1.1.0+green"] == [refusal.name for refusal in refused]


def test_missing_artifact_is_named_with_its_place() -> None:
    since = datetime(2031, 2, 3, tzinfo=UTC)

    with pytest.raises(NoRelease, match=r"v1 holds no file app\.zip") as caught:
        read("?artifact=app.zip").file(["app.tgz"], "v1", since)

    assert since == caught.value.since
