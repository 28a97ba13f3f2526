from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from dewy.deploy.archive import ArchiveLimits
from dewy.errors import ArchiveError
from tests.deploy.archive.conftest import Unpacked
from tests.standins.archives import zip_info, zipped

FILE = stat.S_IFREG | 0o644
PROGRAM = stat.S_IFREG | 0o4755
LINK = stat.S_IFLNK | 0o777
FOLDER = stat.S_IFDIR | 0o750


def test_archive_unpacks(unpacked: Unpacked, release: Path) -> None:
    data = zipped(
        ("bin/", b"", FOLDER),
        ("bin/app", b"program", PROGRAM),
        ("bin/alias", b"app", LINK),
        ("/abs/readme", b"text" * 1000, FILE),
        comment=b"made by hand",
    )

    expected = {
        "abs": None,
        "abs/readme": b"text" * 1000,
        "bin": None,
        "bin/alias": "-> app",
        "bin/app": b"program",
    }
    assert expected == unpacked(data, "app.ZIP")
    assert 0o755 == stat.S_IMODE((release / "bin/app").stat().st_mode)
    assert 0o750 == stat.S_IMODE((release / "bin").stat().st_mode)


def test_archive_without_modes_unpacks(unpacked: Unpacked, release: Path) -> None:
    """Tools of other systems write none."""
    data = zipped(("a/", b"", 0), ("a/b", b"x", 0))

    assert {"a": None, "a/b": b"x"} == unpacked(data, "app.zip")
    assert 0o644 == stat.S_IMODE((release / "a/b").stat().st_mode)


@pytest.mark.parametrize("name", [r"lib\core\x", r"C:\lib\core\x", "C:/lib/core/x"])
def test_foreign_separators_and_drives_are_understood(
    unpacked: Unpacked, name: str
) -> None:
    assert b"x" == unpacked(zipped((name, b"x", 0)), "app.zip")["lib/core/x"]


@pytest.mark.parametrize(
    "evil",
    [
        [("../secret", b"gone", FILE)],
        [(r"..\secret", b"gone", 0)],
        [(r"C:\..\..\secret", b"gone", 0)],
        [("x", b"../..", LINK)],
        [("x", b"/etc", LINK), ("x/owned", b"gone", FILE)],
    ],
)
def test_nothing_leads_outside(
    unpacked: Unpacked, evil: list[tuple[str, bytes, int]]
) -> None:
    with pytest.raises(ArchiveError, match=r"^app\.zip: entry .* outside"):
        unpacked(zipped(*evil), "app.zip")


@pytest.mark.parametrize(
    "kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)
def test_special_files_are_refused(unpacked: Unpacked, kind: int) -> None:
    with pytest.raises(ArchiveError, match="'x' is a device, pipe or socket"):
        unpacked(zipped(("x", b"", kind | 0o644)), "app.zip")


def test_endless_link_is_refused(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="cannot be made"):
        unpacked(zipped(("x", b"./" * 5000, LINK)), "app.zip")


def test_encrypted_archive_is_refused(unpacked: Unpacked) -> None:
    data = bytearray(zipped(("x", b"1", FILE)))
    directory = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[directory + 8] |= 1

    with pytest.raises(ArchiveError, match="'x' is encrypted"):
        unpacked(bytes(data), "app.zip")


def test_rare_compression_is_refused(unpacked: Unpacked) -> None:
    """Python reads them with no limit to the memory that takes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x", b"1")

    with pytest.raises(ArchiveError, match="method 14"):
        unpacked(buffer.getvalue(), "app.zip")


def test_wrong_checksum_of_bzip2_is_noticed(unpacked: Unpacked) -> None:
    data = bytearray(_bzip2(b"content"))
    data[data.index(b"PK\x01\x02") + 16] ^= 1

    with pytest.raises(ArchiveError, match="CRC"):
        unpacked(bytes(data), "app.zip")


def test_bomb_of_bzip2_is_refused(unpacked: Unpacked) -> None:
    limits = ArchiveLimits(ratio=20, ratio_from=2_000_000)

    with pytest.raises(ArchiveError, match="more than 20 times"):
        unpacked(_bzip2(b"x" * 5_000_000), "app.zip", limits=limits)


def _bzip2(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x", content)
    return buffer.getvalue()


def test_wrong_content_is_noticed(unpacked: Unpacked) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", b"content")
    data = buffer.getvalue().replace(b"content", b"kontent", 1)

    with pytest.raises(ArchiveError, match="CRC"):
        unpacked(data, "app.zip")


@pytest.mark.parametrize("kept", [0, 10, 100, -1])
def test_cut_archive_is_noticed(unpacked: Unpacked, kept: int) -> None:
    with pytest.raises(ArchiveError):
        unpacked(zipped(("x", b"1" * 500, FILE))[:kept], "app.zip")


@pytest.mark.parametrize("after", [b"\n", b"garbage", bytes(500)])
def test_bytes_after_the_end_are_passed_over(unpacked: Unpacked, after: bytes) -> None:
    """The end record proves that the archive is whole."""
    assert {"x": b"1"} == unpacked(zipped(("x", b"1", FILE)) + after, "app.zip")


def test_backslash_of_unix_is_part_of_a_name(unpacked: Unpacked) -> None:
    """systemd's units have such names."""
    data = zipped((r"srv-a\x2db.mount", b"x", FILE))

    assert {r"srv-a\x2db.mount": b"x"} == unpacked(data, "app.zip")


def test_read_only_file_of_windows_is_read_only(
    unpacked: Unpacked, release: Path
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zip_info("x", 0)
        info.external_attr = 0x21
        archive.writestr(info, b"1")
    unpacked(buffer.getvalue(), "app.zip")

    assert 0o444 == stat.S_IMODE((release / "x").stat().st_mode)


def test_empty_archive_is_no_release(unpacked: Unpacked) -> None:
    with pytest.raises(ArchiveError, match="holds nothing"):
        unpacked(zipped(), "app.zip")


def test_last_of_equal_names_wins(unpacked: Unpacked) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped(("x", b"1", FILE), ("x", b"2", FILE))

    assert {"x": b"2"} == unpacked(data, "app.zip")


def test_entries_are_counted_before_they_are_read(unpacked: Unpacked) -> None:
    data = zipped(*((f"f{n}", b"", FILE) for n in range(50)))

    with pytest.raises(ArchiveError, match="more than 40 entries"):
        unpacked(data, "app.zip", limits=ArchiveLimits(entries=40))


def test_huge_directory_is_not_read(unpacked: Unpacked) -> None:
    data = bytearray(zipped(("x", b"1", FILE)))
    end = data.index(b"PK\x05\x06")
    size, _ = struct.unpack_from("<LL", data, end + 12)
    padding = bytes(65 * 1024 * 1024)
    data[end:end] = padding
    struct.pack_into("<L", data, end + len(padding) + 12, size + len(padding))

    with pytest.raises(ArchiveError, match="directory of more than"):
        unpacked(bytes(data), "app.zip")


def test_overlapping_bomb_is_refused(unpacked: Unpacked) -> None:
    """One compressed body, many entries that say it is theirs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zip_info("f"), b"x" * 1_000_000)
        body = archive.filelist[0]
        archive.filelist += [body] * 500

    with pytest.raises(ArchiveError, match=r"more than 20 times|[Oo]verlap"):
        unpacked(
            buffer.getvalue(),
            "app.zip",
            limits=ArchiveLimits(ratio=20, ratio_from=2_000_000),
        )
