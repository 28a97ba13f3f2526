from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dewy.deploy.checksum import candidates, parse, verify
from dewy.errors import ChecksumError, RemoteError
from dewy.release import Release

CONTENT = b"program"
HASH = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()
FILE = "app_linux.tgz"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    path.write_bytes(CONTENT)
    return path


def release(*files: str, size: int | None = None, digest: str = "") -> Release:
    return Release(
        tag="v1",
        artifact_url=f"mem://x/v1/{FILE}",
        identity="1",
        files=files,
        size=size,
        digest=digest,
    )


class Published:
    """Checksum files beside the artifact, and which were read."""

    def __init__(self, **texts: str) -> None:
        self.texts = {name.replace("__", "."): text for name, text in texts.items()}
        self.read_names: list[str] = []

    async def read(self, name: str) -> bytes:
        self.read_names.append(name)
        if name not in self.texts:
            raise RemoteError(f"{name} is missing")
        return self.texts[name].encode()


NONE = Published()


def test_own_files_come_before_shared_ones() -> None:
    files = [
        "x-sha256sums.txt",
        "x_sha256sums.txt",
        "x-checksums.txt",
        "x_checksums.txt",
        "checksums_sha256.txt",
        "checksums.sha256",
        "checksums.txt",
        "SHA256SUMS.txt",
        "SHA256SUMS",
        f"{FILE}.sha256sums",
        f"{FILE}.sha256.txt",
        f"{FILE}.sha256sum",
        f"{FILE}.sha256",
    ]

    assert files[::-1] == candidates(FILE, files)


def test_other_files_are_no_candidates() -> None:
    files = [FILE, "other.tgz.sha256", "SHA512SUMS", "checksums.txt.asc", "notes.txt"]

    assert [] == candidates(FILE, files)


def test_each_candidate_comes_once() -> None:
    assert ["a_checksums.txt"] == candidates("a_checksums.txt.x", ["a_checksums.txt"])


@pytest.mark.parametrize(
    "text",
    [
        f"{HASH}  {FILE}\n",
        f"{HASH} *{FILE}\n",
        f"{HASH.upper()}  {FILE}",
        f"{HASH}\t{FILE}\n",
        f"{HASH}  ./{FILE}\n",
        f"{HASH}  dist/linux/{FILE}\n",
        f"{HASH}  dist\\{FILE}\r\n",
        f"SHA256 ({FILE}) = {HASH}\n",
        f"SHA2-256({FILE})= {HASH}\n",
        f"\ufeff{HASH}  {FILE}\r\n{OTHER}  other.tgz\r\n",
        f"# made by hand\n\n{OTHER}  x{FILE}\n{OTHER}  {FILE}.asc\n{HASH}  {FILE}\n",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{HASH}  {FILE}\n",
        f"{HASH}  {FILE}\n{HASH}  {FILE}\n",
        f"{OTHER}  old/{FILE}\n{HASH}  {FILE}\n",
    ],
)
def test_entry_is_found(text: str) -> None:
    assert HASH == parse(text, FILE, "SHA256SUMS")


@pytest.mark.parametrize("text", [HASH, f"{HASH}\n", f"{HASH}  -\n", f"  {HASH} \r\n"])
def test_sum_without_a_name_counts_in_the_artifacts_own_file(text: str) -> None:
    assert HASH == parse(text, FILE, f"{FILE}.sha256")
    assert parse(text, FILE, "SHA256SUMS") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{OTHER}  other.tgz\n",
        f"{HASH[:-1]}  {FILE}\n",
        f"{HASH}0  {FILE}\n",
        f"{'0' * 128}  {FILE}\n",
        f"SHA512 ({FILE}) = {HASH}{HASH}\n",
        f"MD5 ({FILE}) = {HASH[:32]}\n",
        f"# {HASH}  {FILE}\n",
    ],
)
def test_no_entry_is_none(text: str) -> None:
    assert parse(text, FILE, "SHA256SUMS") is None


def test_contradiction_is_an_error() -> None:
    text = f"{HASH}  linux/{FILE}\n{OTHER}  darwin/{FILE}\n"

    with pytest.raises(ChecksumError, match=r"^SHA256SUMS gives app_linux\.tgz"):
        parse(text, FILE, "SHA256SUMS")


@given(text=st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert parse(text, FILE, f"{FILE}.sha256") is None or re.search(
        "[0-9a-fA-F]{64}", text
    )


async def test_digest_of_the_file_is_returned(artifact: Path) -> None:
    digest = await verify(artifact, release=release(), mode="auto", read=NONE.read)

    assert f"sha256:{HASH}" == digest


@pytest.mark.parametrize("mode", ["off", "auto", "required"])
async def test_wrong_length_is_refused_in_every_mode(artifact: Path, mode: str) -> None:
    """A short file was taken for the artifact."""
    with pytest.raises(ChecksumError, match=f"{FILE} has 7 bytes; its store says 8"):
        await verify(artifact, release=release(size=8), mode=mode, read=NONE.read)


@pytest.mark.parametrize("mode", ["off", "auto", "required"])
async def test_wrong_digest_is_refused_in_every_mode(artifact: Path, mode: str) -> None:
    named = release(digest=f"sha256:{OTHER}")

    with pytest.raises(ChecksumError, match=f"{FILE} .*{HASH}; its store .*{OTHER}"):
        await verify(artifact, release=named, mode=mode, read=NONE.read)


@pytest.mark.parametrize("digest", [f"sha256:{HASH.upper()}", "sha512:12", ""])
async def test_right_or_unknown_digest_is_accepted(artifact: Path, digest: str) -> None:
    named = release(digest=digest, size=7)

    assert await verify(artifact, release=named, mode="off", read=NONE.read)


@pytest.mark.parametrize("mode", ["auto", "required"])
async def test_published_checksum_is_verified(artifact: Path, mode: str) -> None:
    published = Published(SHA256SUMS=f"{HASH}  {FILE}\n")
    named = release(FILE, "SHA256SUMS")
    await verify(artifact, release=named, mode=mode, read=published.read)

    assert ["SHA256SUMS"] == published.read_names


@pytest.mark.parametrize("mode", ["auto", "required"])
async def test_other_than_published_is_refused(artifact: Path, mode: str) -> None:
    """Checksum files were documented, and read by nobody."""
    published = Published(SHA256SUMS=f"{OTHER}  {FILE}\n")
    named = release(FILE, "SHA256SUMS")

    with pytest.raises(ChecksumError, match=f"{HASH}; SHA256SUMS says {OTHER}"):
        await verify(artifact, release=named, mode=mode, read=published.read)


async def test_off_reads_no_checksum_file(artifact: Path) -> None:
    published = Published(SHA256SUMS=f"{OTHER}  {FILE}\n")
    named = release(FILE, "SHA256SUMS")
    await verify(artifact, release=named, mode="off", read=published.read)

    assert [] == published.read_names


async def test_first_file_with_an_entry_decides(artifact: Path) -> None:
    published = Published(
        SHA256SUMS=f"{OTHER}  unrelated\n",
        checksums__txt=f"{HASH}  {FILE}\n",
        x_checksums__txt=f"{OTHER}  {FILE}\n",
    )
    named = release("x_checksums.txt", "checksums.txt", "SHA256SUMS")
    await verify(artifact, release=named, mode="auto", read=published.read)

    assert ["SHA256SUMS", "checksums.txt"] == published.read_names


async def test_required_checksum_may_not_be_missing(artifact: Path) -> None:
    with pytest.raises(ChecksumError, match=rf"publish {FILE}\.sha256 or SHA256SUMS"):
        await verify(
            artifact,
            release=release(FILE, digest=f"sha256:{HASH}"),
            mode="required",
            read=NONE.read,
        )


async def test_unreadable_checksum_file_is_not_passed_over(artifact: Path) -> None:
    """Else whoever can make it fail can switch verification off."""
    with pytest.raises(RemoteError):
        await verify(
            artifact, release=release("SHA256SUMS"), mode="auto", read=NONE.read
        )


async def test_checksum_file_may_hold_other_bytes_than_text(artifact: Path) -> None:
    async def read(name: str) -> bytes:
        return b"\xff\xfe\n" + f"{HASH}  {FILE}\n".encode()

    named = release("SHA256SUMS")
    assert await verify(artifact, release=named, mode="required", read=read)
