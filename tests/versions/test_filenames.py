"""Reading the platform in an artifact's file name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.versions.filenames import ANY, Target, is_archive, is_companion, target

ARCHES = {
    "amd64": "amd64",
    "x86_64": "amd64",
    "x86-64": "amd64",
    "x8664": "amd64",
    "x64": "amd64",
    "64bit": "amd64",
    "arm64": "arm64",
    "aarch64": "arm64",
    "arm64v8": "arm64",
    "arm64-v8a": "arm64",
    "arm": "arm",
    "armhf": "arm",
    "armel": "arm",
    "armv5te": "arm",
    "armv6": "arm",
    "armv6l": "arm",
    "armv7": "arm",
    "armv7hf": "arm",
    "arm7": "arm",
    "arm32v7": "arm",
    "arm-v7": "arm",
    "386": "386",
    "i386": "386",
    "i686": "386",
    "x86": "386",
    "32bit": "386",
    "ppc64le": "ppc64le",
    "riscv64gc": "riscv64",
    "s390x": "s390x",
    "loongarch64": "loong64",
}
OSES = {
    "linux": "linux",
    "Linux": "linux",
    "darwin": "darwin",
    "macOS": "darwin",
    "osx": "darwin",
    "windows": "windows",
    "win": "windows",
    "freebsd": "freebsd",
}


@given(
    st.sampled_from(sorted(OSES)),
    st.sampled_from(sorted(ARCHES)),
    st.sampled_from("-_."),
    st.booleans(),
    st.sampled_from(["", "v1.2.3", "1.0.386", "20240601"]),
)
def test_reads_the_names_people_use(
    os: str, arch: str, separator: str, os_first: bool, version: str
) -> None:
    pair = [os, arch] if os_first else [arch, os]
    name = separator.join(["app", *filter(None, [version]), *pair]) + ".tar.gz"

    read = target(name)

    assert (OSES[os], ARCHES[arch]) == (read.os, read.arch)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app-x86_64-unknown-linux-gnu.tgz", Target("linux", "amd64", libc="glibc")),
        ("app-x86_64-unknown-linux-musl.tgz", Target("linux", "amd64", libc="musl")),
        ("app-aarch64-apple-darwin.zip", Target("darwin", "arm64")),
        ("app-x86_64-pc-windows-msvc.zip", Target("windows", "amd64")),
        ("app-aarch64-linux-android.tgz", Target("android", "arm64")),
        (
            "app-armv7-unknown-linux-gnueabihf.tar.xz",
            Target("linux", "arm", 7, "glibc"),
        ),
        ("app_linux_amd64v3.tgz", Target("linux", "amd64", 3)),
        ("app_linux_amd64_v1.tgz", Target("linux", "amd64", 1)),
        ("app-linux-x86_64-v2.tgz", Target("linux", "amd64", 2)),
        ("app_linux_amd64_v3.1.4.tgz", Target("linux", "amd64")),
        ("app_linux_arm_v8.1.0.tgz", Target("linux", "arm")),
        ("app_linux_armv6.tgz", Target("linux", "arm", 6)),
        ("app-linux64.zip", Target("linux", "amd64")),
        ("app-linux32.zip", Target("linux", "386")),
        ("app-linux-64bit.zip", Target("linux", "amd64")),
        ("app-linuxarm64.zip", Target("linux", "arm64")),
        ("app-linuxx86_64.zip", Target("linux", "amd64")),
        ("app-macosx64.zip", Target("darwin", "amd64")),
        ("app-win64.zip", Target("windows", "amd64")),
        ("app-win32-x64.zip", Target("windows", "386")),
        ("app_darwin_universal.zip", Target("darwin", ANY)),
        ("app_darwin_all.tar.gz", Target("darwin", ANY)),
        ("app-macos-universal2.zip", Target("darwin", ANY)),
        ("app_linux_noarch.tar.gz", Target("linux", ANY)),
        ("all-tools_linux_amd64.tar.gz", Target("linux", "amd64")),
        ("app-alpine-linux-x64.tgz", Target("linux", "amd64", libc="musl")),
        ("app-linux.tgz", Target("linux")),
        ("app-amd64.tgz", Target(arch="amd64")),
        ("site-1.0.386.zip", Target()),
        ("app.1.0.0.386.linux.zip", Target("linux", "386")),
        ("all-in-one.zip", Target()),
        ("charm-linuxkit-army-winner.zip", Target()),
    ],
)
def test_reads_a_name(name: str, expected: Target) -> None:
    assert expected == target(name)


@pytest.mark.parametrize(
    ("name", "os", "arch"),
    [
        ("linux-tools_darwin_amd64.tgz", "darwin", "amd64"),
        ("linux-tools-x86_64-apple-darwin.tgz", "darwin", "amd64"),
        ("windows-exporter_1.0_linux_amd64.tgz", "linux", "amd64"),
        ("mac-lookup-linux-arm64.tgz", "linux", "arm64"),
        ("arm-toolchain_linux_amd64.tgz", "linux", "amd64"),
        ("x86-emulator-darwin-arm64.tgz", "darwin", "arm64"),
        ("linux-installer-darwin.tgz", "darwin", ""),
        ("x86-to-arm64.tgz", "", "arm64"),
    ],
)
def test_the_application_name_may_speak_of_another_platform(
    name: str, os: str, arch: str
) -> None:
    """Regression: any part of a name counted, so linux-tools was for linux."""
    read = target(name)

    assert (os, arch) == (read.os, read.arch)


@pytest.mark.parametrize(
    "ending",
    [
        "tar.gz",
        "tgz",
        "tar.bz2",
        "tbz2",
        "tar.xz",
        "txz",
        "tar.zst",
        "tzst",
        "tar",
        "zip",
        "TAR.GZ",
    ],
)
def test_knows_an_archive_by_its_ending(ending: str) -> None:
    assert is_archive(f"app_linux_amd64.{ending}")


@pytest.mark.parametrize(
    "name", ["app", "app.gz", "app.deb", "appzip", "tar", "app.zip.txt", "app.zip\n"]
)
def test_nothing_else_is_an_archive(name: str) -> None:
    assert not is_archive(name)


@pytest.mark.parametrize(
    "name",
    [
        "app_linux_amd64.tar.gz.sha256",
        "app_linux_amd64.tar.gz.sha256sum",
        "app_linux_amd64.tar.gz.sha256.txt",
        "app_linux_amd64.tar.gz.sha512",
        "app_linux_amd64.tar.gz.md5",
        "app_linux_amd64.tar.gz.asc",
        "app_linux_amd64.tar.gz.sig",
        "app_linux_amd64.tar.gz.minisig",
        "app_linux_amd64.tar.gz.pem",
        "app_linux_amd64.tar.gz.sbom",
        "app_linux_amd64.tar.gz.sbom.json",
        "app_linux_amd64.spdx.json",
        "app_linux_amd64.cdx.json",
        "app_linux_amd64.intoto.jsonl",
        "app_linux_amd64.sbom.tar.gz",
        "app_linux_amd64.sig.zip",
        "app_1.0.0_checksums.txt",
        "app_1.0.0-checksums.txt",
        "checksums.txt",
        "checksums.sha256",
        "checksums_sha256.txt",
        "checksums.tar.gz",
        "SHA256SUMS",
        "SHA256SUMS.txt",
        "app_sha256sums.txt",
    ],
)
def test_knows_checksums_signatures_and_inventories(name: str) -> None:
    assert is_companion(name)


@pytest.mark.parametrize(
    "name",
    [
        "app_linux_amd64.tar.gz",
        "checksums-tool_linux_amd64.tar.gz",
        "fast-md5.tar.gz",
        "ca-cert.zip",
        "gopub.zip",
    ],
)
def test_a_name_that_only_speaks_of_them_is_no_companion(name: str) -> None:
    assert not is_companion(name)
