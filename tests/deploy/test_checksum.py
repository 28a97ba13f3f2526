from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from dewy.deploy.checksum import candidates, verify
from dewy.errors import ChecksumError, Missing, RemoteError
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
        "x-sha512sums.txt",
        "SHA512SUMS",
        "x-sha256sums.txt",
        "x_sha256sums.txt",
        "x-checksums.txt",
        "x_checksums.txt",
        "checksums_sha256.txt",
        "checksums.sha256",
        "checksums.txt",
        "SHA256SUMS.txt",
        "SHA256SUMS",
        f"{FILE}.sha512",
        f"{FILE}.sha256sums",
        f"{FILE}.sha256.txt",
        f"{FILE}.sha256sum",
        f"{FILE}.sha256",
    ]

    assert files[::-1] == candidates(FILE, files)


@pytest.mark.parametrize(
    "name",
    [
        "SHASUMS256.txt",
        "SHA256SUM",
        "sha256sum.txt",
        "tool_1.2.0_SHA256SUMS",
        "tool-SHA512SUMS",
        "SHASUMS512.txt",
        "CHECKSUMS",
        "checksum.txt",
        "checksums-sha256.txt",
        "tool_1.2.0_checksums_sha256.txt",
        "sha256.txt",
    ],
)
def test_names_of_well_known_projects_are_candidates(name: str) -> None:
    """Of Node.js, Bun and HashiCorp, for some."""
    assert [name] == candidates(FILE, [FILE, name])


def test_other_files_are_no_candidates() -> None:
    files = [FILE, "other.tgz.sha256", "MD5SUMS", "checksums.txt.asc", "notes.txt"]

    assert [] == candidates(FILE, files)


@pytest.mark.parametrize("name", [f"{FILE}.SHA256", f"{FILE.upper()}.sha256"])
def test_capitals_make_no_other_file(name: str) -> None:
    assert [name] == candidates(FILE, [FILE, name])


def test_each_candidate_comes_once() -> None:
    assert ["a_checksums.txt"] == candidates("a_checksums.txt.x", ["a_checksums.txt"])


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


class Unlisted:
    """A store that does not tell what there is, with the files *there*."""

    def __init__(self, **there: str) -> None:
        self.there = {name.replace("__", "."): text for name, text in there.items()}
        self.asked: list[str] = []
        self.release = replace(release(), files=None)
        self.failure: RemoteError = Missing("404")

    async def read(self, name: str) -> bytes:
        self.asked.append(name)
        if name not in self.there:
            raise self.failure
        return self.there[name].encode()

    async def verify(self, artifact: Path, mode: str) -> str:
        return await verify(artifact, release=self.release, mode=mode, read=self.read)


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("name", ["app_linux__tgz__sha256", "SHA256SUMS"])
async def test_checksum_is_asked_for_where_nothing_is_listed(
    artifact: Path, mode: str, name: str
) -> None:
    """As beside artifacts that a gRPC registry names."""
    good = Unlisted(**{name: f"{HASH}  {FILE}\n"})
    wrong = Unlisted(**{name: f"{OTHER}  {FILE}\n"})

    assert f"sha256:{HASH}" == await good.verify(artifact, mode)
    with pytest.raises(ChecksumError, match=f"says {OTHER}"):
        await wrong.verify(artifact, mode)


async def test_required_checksum_that_is_nowhere_was_asked_for(artifact: Path) -> None:
    store = Unlisted()
    with pytest.raises(ChecksumError, match=rf"publish {FILE}\.sha256 or SHA256SUMS"):
        await store.verify(artifact, "required")

    assert {f"{FILE}.sha256", "SHA256SUMS", "checksums.txt"} <= {*store.asked}
    assert f"sha256:{HASH}" == await store.verify(artifact, "auto")


async def test_page_in_place_of_a_checksum_file_is_none(artifact: Path) -> None:
    """Some servers answer whatever they are asked."""
    page = "\n<!doctype html><title>welcome</title>"
    store = Unlisted(SHA256SUMS=page, **{FILE.replace(".", "__") + "__sha256": page})

    assert f"sha256:{HASH}" == await store.verify(artifact, "auto")


async def test_checksum_that_may_be_there_is_not_passed_over(artifact: Path) -> None:
    store = Unlisted(SHA256SUMS=f"{HASH}  {FILE}\n")
    store.failure = RemoteError("answered 502")
    with pytest.raises(RemoteError, match="502"):
        await store.verify(artifact, "auto")

    assert f"sha256:{HASH}" == await store.verify(artifact, "off")
    assert 1 == len(store.asked)


async def test_checksum_file_may_hold_other_bytes_than_text(artifact: Path) -> None:
    async def read(name: str) -> bytes:
        return b"\xff\xfe\n" + f"{HASH}  {FILE}\n".encode()

    named = release("SHA256SUMS")
    assert await verify(artifact, release=named, mode="required", read=read)


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize(
    "text", ["", "see our web site\n", f"MD5 ({FILE}) = {HASH[:32]}\n", HASH]
)
async def test_file_that_is_not_understood_is_an_error(
    artifact: Path, mode: str, text: str
) -> None:
    """A wrong sum was deployed without a word, as if none were published."""
    published = Published(SHA256SUMS=text)
    named = release(FILE, "SHA256SUMS")

    with pytest.raises(
        ChecksumError, match=r"SHA256SUMS has no line .*sha256sum print"
    ):
        await verify(artifact, release=named, mode=mode, read=published.read)
    assert await verify(artifact, release=named, mode="off", read=published.read)


async def test_other_file_that_confirms_is_enough(
    artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = Published(SHA256SUMS="?", checksums__txt=f"{HASH}  {FILE}\n")
    named = release("checksums.txt", "SHA256SUMS")
    await verify(artifact, release=named, mode="auto", read=published.read)

    assert ["Checksum file not understood"] == [each.message for each in caplog.records]


async def test_files_without_an_entry_are_told(
    artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    published = Published(SHA256SUMS=f"{OTHER}  other.tgz\n")
    named = release(FILE, "SHA256SUMS")
    await verify(artifact, release=named, mode="auto", read=published.read)

    assert ["No checksum published for the artifact"] == [
        each.message for each in caplog.records
    ]


async def test_checksum_files_that_dewy_does_not_read_are_told(
    artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stem = FILE.removesuffix(".tgz")
    others = [f"{FILE}.md5", f"{stem}.sha256", "MD5SUMS", "SHA1SUMS", "checksums.json"]
    beside = ["other.tgz.md5", "notes.txt", "checksums_tool.tar.gz", "sharedsum"]
    named = release(FILE, *others, *beside)
    await verify(artifact, release=named, mode="auto", read=Published().read)

    [told] = caplog.records
    assert "Checksum files not compared" == told.message
    assert sorted(others) == told.__dict__["names"].split(", ")


@pytest.mark.parametrize(("content", "right"), [(CONTENT, True), (b"another", False)])
async def test_longer_sums_are_compared_too(
    artifact: Path, content: bytes, right: bool
) -> None:
    digest = hashlib.sha512(content).hexdigest()
    published = Published(checksums__txt=f"{digest}  {FILE}\n")
    named = release("checksums.txt")
    verified = verify(artifact, release=named, mode="required", read=published.read)

    if right:
        assert f"sha256:{HASH}" == await verified
    else:
        with pytest.raises(ChecksumError, match=f"SHA-512 .*checksums.txt.*{digest}"):
            await verified
