"""Choosing the artifact that runs on a host."""

from __future__ import annotations

import os
import platform as host
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.versions import Platform, choose_artifact

AMD64 = Platform("linux", "amd64", "glibc")
ALPINE = Platform("linux", "amd64", "musl")
ARM64 = Platform("linux", "arm64", "glibc")
ARMV7 = Platform("linux", "arm", "glibc")
ARMV6 = Platform("linux", "arm", "glibc", arm=6)
I386 = Platform("linux", "386", "glibc")
MAC = Platform("darwin", "arm64")

EVERYWHERE = [
    "app_1.0.0_checksums.txt",
    "app_1.0.0_darwin_amd64.tar.gz",
    "app_1.0.0_darwin_arm64.tar.gz",
    "app_1.0.0_linux_386.tar.gz",
    "app_1.0.0_linux_amd64.deb",
    "app_1.0.0_linux_amd64.tar.gz",
    "app_1.0.0_linux_amd64.tar.gz.asc",
    "app_1.0.0_linux_arm64.tar.gz",
    "app_1.0.0_linux_armv6.tar.gz",
    "app_1.0.0_linux_armv7.tar.gz",
    "app_1.0.0_windows_amd64.zip",
    "shipped_to_web1_server_at_20240601T000000.000000001Z.txt",
]


def chosen(names: list[str], platform: Platform) -> str | None:
    return choose_artifact(names, platform).name


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        (AMD64, "app_1.0.0_linux_amd64.tar.gz"),
        (ALPINE, "app_1.0.0_linux_amd64.tar.gz"),
        (ARM64, "app_1.0.0_linux_arm64.tar.gz"),
        (ARMV7, "app_1.0.0_linux_armv7.tar.gz"),
        (ARMV6, "app_1.0.0_linux_armv6.tar.gz"),
        (I386, "app_1.0.0_linux_386.tar.gz"),
        (MAC, "app_1.0.0_darwin_arm64.tar.gz"),
        (Platform("freebsd", "amd64"), None),
        (Platform("linux", "riscv64"), None),
    ],
)
def test_chooses_the_archive_for_the_host(
    platform: Platform, expected: str | None
) -> None:
    assert expected == chosen(EVERYWHERE, platform)


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        (AMD64, "linux-tools_darwin_amd64.tgz"),
        (ARMV7, "app_linux_arm64.tgz"),
        (ARMV7, "app_linux_aarch64.tgz"),
        (I386, "app_linux_x86_64.tgz"),
        (AMD64, "app_linux_x86.tgz"),
        (AMD64, "app_linux64-tools_windows_amd64.zip"),
        (ARMV6, "app_linux_armv7.tgz"),
        (ALPINE, "app-x86_64-unknown-linux-gnu.tgz"),
        (AMD64, "app-linux.tgz"),
        (AMD64, "app-amd64.tgz"),
    ],
)
def test_an_archive_for_others_is_never_chosen(platform: Platform, name: str) -> None:
    """Regression: names were searched for parts of words."""
    assert chosen([name], platform) is None


@pytest.mark.parametrize(
    ("platform", "best_first"),
    [
        (AMD64, ["linux-x64-gnu.zip", "linux-x64.zip", "linux-x64-musl.zip"]),
        (ALPINE, ["linux-x64-musl.zip", "linux-x64.zip"]),
        (
            AMD64,
            ["app_linux_amd64.tgz", "app_linux_amd64v2.tgz", "app_linux_amd64v3.tgz"],
        ),
        (ARMV7, ["app_linux_armv7.tgz", "app_linux_arm.tgz", "app_linux_armv6.tgz"]),
        (ARMV6, ["app_linux_armv6.tgz", "app_linux_armhf.tgz", "app_linux_armv5.tgz"]),
        (MAC, ["app_darwin_arm64.zip", "app_darwin_universal.zip"]),
    ],
)
def test_best_match_is_preferred(platform: Platform, best_first: list[str]) -> None:
    while best_first:
        assert best_first[0] == chosen(best_first[::-1], platform)
        best_first = best_first[1:]


@pytest.mark.parametrize("word", ["x86_64", "x64"])
def test_the_first_listed_of_equals_wins(word: str) -> None:
    names = [f"app-linux-{word}.zip", "app_linux_amd64.tar.gz"]

    assert names[0] == chosen(names, AMD64)
    assert names[1] == chosen(names[::-1], AMD64)


def test_names_that_fit_less_are_not_among_the_equal_ones() -> None:
    equal = ["a-linux-x64.zip", "b-linux-x64.zip"]
    choice = choose_artifact([*equal, "a-linux-x64-debug.zip"], AMD64)
    reasons = {refusal.name: refusal.reason for refusal in choice.refused}

    assert tuple(equal) == choice.equal
    assert {"not the only one that fits"} == {reasons[name] for name in equal}
    assert (
        "a-linux-x64.zip or b-linux-x64.zip comes first"
        == reasons["a-linux-x64-debug.zip"]
    )


def test_an_only_archive_that_names_no_platform_is_for_all() -> None:
    names = ["checksums.txt", "site-1.0.386.tar.gz", "site-1.0.386.tar.gz.sig"]

    assert "site-1.0.386.tar.gz" == chosen(names, ARM64)


@pytest.mark.parametrize(
    "names",
    [
        ["source.tar.gz", "app_darwin_arm64.tar.gz"],
        ["source.tar.gz", "docs.zip"],
    ],
)
def test_an_archive_beside_others_is_not_taken_to_be_for_all(names: list[str]) -> None:
    """The build for this host may still be on its way."""
    assert chosen(names, AMD64) is None


@pytest.mark.parametrize("wanted", ["app", "checksums.txt", "app_darwin_arm64.tgz"])
def test_requested_artifact_is_chosen_regardless_of_platform(wanted: str) -> None:
    names = ["app_linux_amd64.tgz", "app", "checksums.txt", "app_darwin_arm64.tgz"]

    choice = choose_artifact(names, AMD64, wanted)

    assert wanted == choice.name
    assert {f"not {wanted}"} == {refusal.reason for refusal in choice.refused}


@pytest.mark.parametrize("name", ["app-v1.2.0.tgz", "app-1.2.0.tgz"])
def test_requested_artifact_may_hold_any_form_of_the_version(name: str) -> None:
    names = ["app-1.1.0.tgz", name]

    choice = choose_artifact(names, AMD64, "app-{version}.tgz", ["v1.2.0", "1.2.0"])

    assert name == choice.name


@pytest.mark.parametrize("wanted", ["APP.tgz", "app", "app.tgz "])
def test_a_wanted_name_must_be_equal(wanted: str) -> None:
    choice = choose_artifact(["app.tgz"], AMD64, wanted)

    assert choice.name is None
    assert ["app.tgz"] == [refusal.name for refusal in choice.refused]


def test_tells_why_each_other_name_was_refused() -> None:
    choice = choose_artifact(
        [
            "app_linux_amd64.tgz.sha256",
            "app_linux_amd64.deb",
            "app_windows_amd64.zip",
            "app_linux_arm64.tgz",
            "app_linux_armv7.tgz",
            "app_linux.tgz",
            "app_amd64.tgz",
            "docs.zip",
            "app_linux_amd64.tgz",
            "app_linux_amd64.zip",
        ],
        AMD64,
    )

    assert "app_linux_amd64.tgz" == choice.name
    assert [
        "checksum, signature or inventory",
        "not an archive",
        "for windows, not linux",
        "for arm64, not amd64",
        "for arm, not amd64",
        "names no architecture",
        "names no operating system",
        "names no platform",
        "app_linux_amd64.tgz comes first",
    ] == [refusal.reason for refusal in choice.refused]


@pytest.mark.parametrize(
    ("platform", "name", "reason"),
    [
        (ARMV6, "app_linux_armv7.tgz", "for armv7, not armv6"),
        (ALPINE, "app-x86_64-linux-gnu.tgz", "for glibc, not musl"),
    ],
)
def test_refusal_reason_names_platform_mismatch(
    platform: Platform, name: str, reason: str
) -> None:
    (refusal,) = choose_artifact([name], platform).refused

    assert reason == refusal.reason


@given(
    st.lists(st.sampled_from([*EVERYWHERE, "docs.zip", "app"]), unique=True),
    st.sampled_from([AMD64, ALPINE, ARM64, ARMV7, ARMV6, I386, MAC]),
    st.randoms(use_true_random=False),
)
def test_every_name_is_chosen_or_refused_in_whatever_order(
    names: list[str], platform: Platform, rng: random.Random
) -> None:
    choice = choose_artifact(iter(names), platform)

    told = [refusal.name for refusal in choice.refused]
    assert sorted(names) == sorted(told + ([choice.name] if choice.name else []))
    assert choice.name == chosen(rng.sample(names, len(names)), platform)


def only_gnu(version: str | Exception | None) -> object:
    def confstr(name: str) -> str | None:
        assert "CS_GNU_LIBC_VERSION" == name
        if isinstance(version, Exception):
            raise version
        return version

    return confstr


@pytest.mark.parametrize(
    ("system", "machine", "narrow", "expected"),
    [
        ("linux", "x86_64", False, Platform("linux", "amd64", "glibc")),
        ("linux", "aarch64", False, Platform("linux", "arm64", "glibc")),
        ("linux", "aarch64", True, Platform("linux", "arm", "glibc", 7)),
        ("linux", "x86_64", True, Platform("linux", "386", "glibc")),
        ("linux", "armv7l", True, Platform("linux", "arm", "glibc", 7)),
        ("linux", "armv8l", True, Platform("linux", "arm", "glibc", 7)),
        ("linux", "armv6l", True, Platform("linux", "arm", "glibc", 6)),
        ("linux", "i686", True, Platform("linux", "386", "glibc")),
        ("linux", "ppc64le", False, Platform("linux", "ppc64le", "glibc")),
        ("linux", "sparc64", False, Platform("linux", "sparc64", "glibc")),
        ("darwin", "arm64", False, Platform("darwin", "arm64")),
        ("darwin", "x86_64", False, Platform("darwin", "amd64")),
        ("freebsd14", "amd64", False, Platform("freebsd", "amd64")),
    ],
)
def test_tells_the_platform_in_the_names_go_uses(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    narrow: bool,
    expected: Platform,
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(host, "machine", lambda: machine)
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1 if narrow else 2**63 - 1)
    monkeypatch.setattr(os, "confstr", only_gnu("glibc 2.36"))

    assert expected == Platform.here()


@pytest.mark.parametrize("answer", [None, ValueError("unknown"), OSError("invalid")])
def test_a_linux_without_gnu_library_is_musl(
    monkeypatch: pytest.MonkeyPatch, answer: Exception | None
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", only_gnu(answer))

    assert "musl" == Platform.here().libc
